"""What stands in for TensorRT, CuPy and a GPU, and what holds the stand-ins to the real ones."""
