# The build is described by pyproject.toml and CMakeLists.txt (scikit-build-core); tools that look for a setup.py find one.
from setuptools import setup

setup()
