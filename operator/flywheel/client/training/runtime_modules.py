"""What Flywheel's runtime image has: the modules of requirements/runtime.txt, which tests/client/training compares."""

PYTHON_VERSION = (3, 11)
# The module that an import statement names, and the distribution that it is of.
RUNTIME_MODULES = {
    "annotated_types": "annotated-types",
    "boto3": "boto3",
    "botocore": "botocore",
    "cloudpickle": "cloudpickle",
    "dateutil": "python-dateutil",
    "duckdb": "duckdb",
    "flatbuffers": "flatbuffers",
    "flywheel_runtime": "flywheel-operator",
    "google": "protobuf",
    "jmespath": "jmespath",
    "joblib": "joblib",
    "ml_dtypes": "ml-dtypes",
    "narwhals": "narwhals",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "packaging": "packaging",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic-core",
    "s3transfer": "s3transfer",
    "scipy": "scipy",
    "six": "six",
    "skl2onnx": "skl2onnx",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "typing_extensions": "typing-extensions",
    "typing_inspection": "typing-inspection",
    "urllib3": "urllib3",
}
