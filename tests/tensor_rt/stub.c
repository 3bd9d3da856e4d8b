// Libraries under which the Python bindings of TensorRT import, and nothing more: every factory
// returns null. Compiled three times, with STUB_INFER, STUB_PARSER and STUB_PLUGIN, for the three
// libraries that the bindings are linked against.
#define STUB(name) \
  void* name(void) { return 0; }

#if defined(STUB_INFER)
STUB(createInferBuilder_INTERNAL)
STUB(createInferRefitter_INTERNAL)
STUB(createInferRuntime_INTERNAL)
STUB(getBuilderPluginRegistry)
STUB(getPluginRegistry)
STUB(getLogger)
STUB(getInferLibVersion)
#elif defined(STUB_PARSER)
STUB(createNvOnnxParserRefitter_INTERNAL)
STUB(createNvOnnxParser_INTERNAL)
STUB(getNvOnnxParserVersion)
#elif defined(STUB_PLUGIN)
STUB(initLibNvInferPlugins)
#else
#error "say which library this is"
#endif
