"""The reader itself, with its store, for the client."""

from tests.reader.conftest import cluster as cluster
from tests.reader.conftest import reader as reader
from tests.reader.conftest import reader_process as reader_process
from tests.reader.conftest import s3 as s3
