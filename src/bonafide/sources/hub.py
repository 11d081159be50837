"""Datasets of the Hugging Face Hub, by id and revision.

Files are kept in Hugging Face's own cache, ``HF_HOME``: a run that was killed goes on with the files that it
lacks, and a connection that breaks is taken up where it broke. ``HF_TOKEN`` opens what is private or gated.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bonafide.errors import DataError
from bonafide.source import HuggingFaceSource, ParquetSource

COMMIT = re.compile("[0-9a-f]{40}")
OF_THE_HUB = {"kind", "dataset", "revision", "path", "name"}


def find_commit(source: HuggingFaceSource) -> str:
    """The commit that a source's revision stands for now.

    Raises:
        DataError: there is no such dataset or revision, it may not be read, or the Hub does not answer.
    """
    from huggingface_hub import HfApi

    if COMMIT.fullmatch(source.revision):
        return source.revision
    with _answering(source):
        return str(HfApi().dataset_info(source.dataset, revision=source.revision).sha)


def download(source: HuggingFaceSource) -> tuple[ParquetSource, str]:
    """The source's Parquet files on this machine, and the commit that they are of.

    Raises:
        DataError: as :func:`find_commit`, or a file does not arrive.
    """
    from huggingface_hub import snapshot_download

    commit, path = source.digest or find_commit(source), source.path.strip("/")
    wanted = [path, f"{path}/*.parquet"] if path else "*.parquet"
    with _answering(source):
        folder = snapshot_download(
            source.dataset, repo_type="dataset", revision=commit, allow_patterns=wanted
        )
    columns = source.model_dump(exclude=OF_THE_HUB)
    name = source.name or source.dataset
    return ParquetSource(path=f"{folder}/{path}".rstrip("/"), name=name, **columns), commit


@contextmanager
def _answering(source: HuggingFaceSource) -> Iterator[None]:
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise DataError(
            f"the dataset {source.dataset} is gated; ask for access on its page on the Hugging Face Hub, and "
            "give the token of an account that has it in HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"the Hugging Face Hub shows no dataset {source.dataset}; check the name, and if it is private "
            "give a token in HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DataError(
            f"the dataset {source.dataset} has no revision {source.digest or source.revision}; "
            "give a branch, a tag or a commit"
        ) from error
    except Exception as error:  # of several libraries, with their advice on further lines
        told = str(error).strip().partition("\n")[0] or repr(error)
        raise DataError(
            f"cannot fetch the dataset {source.dataset} from {constants.ENDPOINT}: {told}; "
            "check its id and the network, and run again to go on, or give a folder: bonafide demo FOLDER"
        ) from error
