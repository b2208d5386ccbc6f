"""A real Slurm cluster of one machine (Debian: slurm-wlm, munge), started for the test; without it, skipped."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from heap_making import InThisProcess, Silent, contents, make_heap

from data_pipeline.errors import PipelineError
from data_pipeline.executors import Executor, Resources, SlurmExecutor
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe

if not (shutil.which("slurmctld") and shutil.which("munged") and os.geteuid() == 0):
    pytest.skip("needs slurmctld and munged, as root (Debian: slurm-wlm, munge)", allow_module_level=True)

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={n_cpus} RealMemory=4000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("slurm")
    host = socket.gethostname().split(".")[0]
    ports = {"controller_port": free_port(), "node_port": free_port()}
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, folder=folder, n_cpus=os.cpu_count(), **ports))
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    of_munge = {"key": "key", "socket": "sock", "pid": "pid", "log": "log", "seed": "seed"}
    munge_options = [
        f"--{name}{'' if name == 'socket' else '-file'}={folder}/munge.{end}" for name, end in of_munge.items()
    ]
    daemons = [["munged", "--foreground", "--force", *munge_options], ["slurmctld", "-D"], ["slurmd", "-D"]]
    environment = {**os.environ, "SLURM_CONF": str(config)}
    processes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(config))
        try:
            for command in daemons:
                quiet = subprocess.DEVNULL
                processes.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
                time.sleep(1)
            wait_for_an_idle_node()
            yield
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def wait_for_an_idle_node() -> None:
    for _ in range(60):
        shown = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, check=False)
        if shown.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    raise AssertionError(f"no idle node: {shown}")


def run(recipe: Path, out: Path, executor: Executor) -> Path:
    plan = RunPlan(recipe=read_recipe(recipe))
    return run_recipe(plan, out, executor=executor, resume=False, progress=Silent()).path


@pytest.mark.usefixtures("cluster")
def test_a_slurm_cluster_gives_the_same_bytes(tmp_path: Path):
    recipe = make_heap(tmp_path)
    by_slurm = run(recipe, tmp_path / "slurm", SlurmExecutor(None, "cpu", "00:05:00", Resources(memory_per_cpu_gb=1)))
    assert contents(by_slurm) == contents(run(recipe, tmp_path / "here", InThisProcess()))


@pytest.mark.usefixtures("cluster")
def test_a_partition_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(PipelineError, match="sbatch ended with 1"):
        run(make_heap(tmp_path), tmp_path / "out", SlurmExecutor(None, "nowhere", "00:05:00", Resources()))
