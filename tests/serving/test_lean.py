import subprocess
import sys


def run(code: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_server_loads_no_pandas():
    run(
        "import sys\n"
        "from bonafide.serving import lean\n"
        "lean.import_kserve()\n"
        "import bonafide.serving.server, bonafide.serving.models.predictor, bonafide.serving.api.server\n"
        "assert 'pandas' not in sys.modules\n"
    )


def test_servers_that_store_nothing_load_no_database():
    run(
        "import sys\n"
        "import bonafide.serving.server, bonafide.serving.models.predictor\n"
        "assert not [name for name in sys.modules if name.startswith('bonafide.feedback')]\n"
        "import bonafide.cli.api, bonafide.cli.serve, bonafide.serving.api.server, bonafide.serving.api.app\n"
        "assert not {'sqlalchemy', 'alembic', 'pg8000'} & set(sys.modules)\n"
    )


def test_the_service_api_loads_no_grpc():
    run(
        "import sys\n"
        "import bonafide.cli.api, bonafide.serving.api.server, bonafide.serving.api.app\n"
        "import bonafide.serving.client, bonafide.serving.models.reload\n"
        "assert not {'grpc', 'kserve'} & set(sys.modules)\n"
    )


def test_kserves_conversions_still_work():
    run(
        "from bonafide.serving import lean\n"
        "lean.import_kserve()\n"
        "from kserve import InferInput, InferRequest\n"
        "frame = InferRequest('m', [InferInput('x', [2], 'INT32', [3, 4])]).as_dataframe()\n"
        "import pandas\n"
        "assert isinstance(frame, pandas.DataFrame)\n"
        "assert frame['x'].tolist() == [3, 4]\n"
    )


def test_what_is_there_already_stays():
    run(
        "import pandas\n"
        "from bonafide.serving import lean\n"
        "lean.import_kserve()\n"
        "import sys\n"
        "assert sys.modules['pandas'] is pandas\n"
        "from kserve.protocol import infer_type\n"
        "assert infer_type.pd is pandas\n"
    )


def test_a_token_is_made_without_the_service():
    run(
        "import os, sys\n"
        "os.environ['BONAFIDE_API_SECRET'] = 's' * 32\n"
        "from bonafide.cli.main import main\n"
        "sys.argv = ['bonafide', 'api-token', 'somebody']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "assert not {'kserve', 'fastapi', 'numpy', 'onnxruntime', 'httpx'} & set(sys.modules)\n"
    )
