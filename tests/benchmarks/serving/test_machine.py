from benchmarks.serving import machine


def test_the_machine_is_described_by_what_is_installed():
    cores = machine.cores()
    described = machine.describe(cores)
    assert described["versions"].keys() > {"Python", "onnxruntime"}
    assert len(cores.server) == described["server_cores"] <= machine.SERVER_CORES
