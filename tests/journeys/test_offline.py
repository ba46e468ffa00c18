"""The whole road, from the embedded base to a service's answer, without the network: not one attempt to reach it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Runs in the child: every connection and look-up that leaves the machine is refused and counted.
ROAD = """
import contextlib, io, json, socket, sys

attempts = []
LOCAL = ("127.0.0.1", "localhost", "::1")
connect, look_up = socket.socket.connect, socket.getaddrinfo

def refuse(what):
    attempts.append(repr(what))
    raise OSError(101, "Network is unreachable")

def guarded_connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in LOCAL:
        refuse(address)
    return connect(self, address)

def guarded_look_up(host, *rest, **more):
    return look_up(host, *rest, **more) if host in LOCAL else refuse(host)

socket.socket.connect = socket.socket.connect_ex = guarded_connect
socket.getaddrinfo = guarded_look_up

import warnings
warnings.simplefilter("ignore")
from starlette.testclient import TestClient
from hone.cli.main import exit_code
from hone.predict.predictor import load
from hone.serve.app import make_app

def hone(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = exit_code(list(arguments))
    assert code == 0, arguments
    return out.getvalue()

result = json.loads(hone("run", "recipe.yaml", "--out", "out", "--json"))
answers = [json.loads(line) for line in hone("predict", "out/bundle", "test.jsonl").splitlines()]
verified = json.loads(hone("verify", "out/bundle", "--json"))
with TestClient(make_app(load("out/bundle"))) as client:
    served = client.post("/predict", json={"inputs": ["where is my refund"]}).json()
print(json.dumps({"attempts": attempts, "answers": answers, "verified": verified, "served": served}))
"""


def test_the_whole_road_needs_no_network(tmp_path: Path) -> None:
    texts = [{"text": f"{word} number {i}", "label": word} for word in ("refund", "password") for i in range(12)]
    for name, rows in (("train.jsonl", texts[::2] + texts[1::4]), ("test.jsonl", texts[3::4])):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stages = ["inspect", {"kind": "finetune", "max_steps": 2, "per_device_train_batch_size": 8}, "evaluate"]
    recipe = {"version": 1, "task": "text-classification", "base": "minilm",
              "data": {"train": "train.jsonl", "test": "test.jsonl"}, "stages": stages}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", ROAD],
        cwd=tmp_path,
        env={**environment, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["attempts"] == []
    assert len(found["answers"]) == 6
    assert {answer["label"] for answer in found["answers"]} <= {"refund", "password"}
    assert found["verified"]["verified"] is True
    assert found["served"]["bundle"] == found["verified"]["bundle"]
    assert set(found["served"]["predictions"][0]["scores"]) == {"refund", "password"}
