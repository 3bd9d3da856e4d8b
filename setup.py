# pyproject.toml and CMakeLists.txt describe the build (scikit-build-core); tools that look for a
# setup.py find one.
from setuptools import setup

setup()
