"""Throughput and latency of ``POST /assign`` beside a bare FastAPI route that returns a constant.

Run it as ``python -m tests.benchmarks.bench_serve [--quick]``. Both services run in a process of
their own under uvicorn, without access logs; this process is the client, with 1 and with 16
connections. Rounds are paired and begin by turns with the one and the other; the figures are
medians of the rounds' ratios. Where the machine is busy with other work, the ratio of the servers'
processor time for a request (Linux) is the one to read: it is what throughput comes to when the
processor is the limit.
"""

import json
import math
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import segkit
from segkit.live.serve.keys import add_key

CLIENTS = (1, 16)
BARE = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/constant")
async def constant():
    return {"segment": "S1"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def make_model(folder):
    """Fit the sample's segments; return the model's file and one customer's features."""
    result = segkit.segment("data/sample", mapping="data/mappings/simulated.toml")
    model = result.segmentation.model
    row = result.table.frame.select(model.columns).row(7, named=True)
    return model.save(folder / "model.json"), row


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def running(command, port):
    """Run a service until the block ends."""
    process = subprocess.Popen(command)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command[:3]} ended early") from None
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def processor_seconds(process):
    """Read a process's processor time so far (Linux)."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def request_bytes(method, path, headers, body):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def send(port, request, clients, count):
    """Send ``count`` requests over ``clients`` connections; return requests a second and p99."""
    chooser, times = selectors.DefaultSelector(), []
    begun, left = {}, count
    for _ in range(clients):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(one, selectors.EVENT_READ)
    sockets = [key.fileobj for key in chooser.get_map().values()]
    started = time.perf_counter()
    for one in sockets:
        begun[one] = time.perf_counter()
        one.sendall(request)
        left -= 1
    while len(times) < count:
        for key, _ in chooser.select():
            one = key.fileobj
            answer = one.recv(65_536)
            head, _, rest = answer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(rest) < length:
                rest += one.recv(65_536)
            assert head.startswith(b"HTTP/1.1 200"), answer
            times.append(time.perf_counter() - begun[one])
            if left:
                left -= 1
                begun[one] = time.perf_counter()
                one.sendall(request)
    seconds = time.perf_counter() - started
    for one in sockets:
        one.close()
    return count / seconds, sorted(times)[math.ceil(0.99 * count) - 1]


def main():
    """Print a line for each number of clients."""
    rounds, count = (25, 200) if "--quick" in sys.argv else (60, 1000)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, row = make_model(folder)
        key = add_key(folder / "keys.toml", "bench", ["assign"])
        body = json.dumps({"customer_id": "C1", "consent": True, "features": row}).encode()
        ports = {"bare": free_port(), "assign": free_port()}
        words = ["--keys", str(folder / "keys.toml"), "--port", str(ports["assign"])]
        serve = [sys.executable, "-m", "segkit", "serve", str(model), *words]
        requests = {
            "bare": request_bytes("GET", "/constant", {}, b""),
            "assign": request_bytes("POST", "/assign", {"Authorization": f"Bearer {key}"}, body),
        }
        with (
            running([sys.executable, "-c", BARE, str(ports["bare"])], ports["bare"]) as bare,
            running(serve, ports["assign"]) as assign,
        ):
            processes = {"bare": bare, "assign": assign}
            for clients in CLIENTS:
                runs = {name: [] for name in requests}
                for name, request in requests.items():
                    send(ports[name], request, clients, 300)
                before = {name: processor_seconds(one) for name, one in processes.items()}
                for turn in range(rounds):
                    for name in list(requests)[:: 1 if turn % 2 else -1]:
                        runs[name].append(send(ports[name], requests[name], clients, count))
                work = {n: processor_seconds(one) - before[n] for n, one in processes.items()}
                pairs = list(zip(runs["assign"], runs["bare"], strict=True))
                share = statistics.median(own[0] / bare[0] for own, bare in pairs)
                tail = statistics.median(own[1] / bare[1] for own, bare in pairs)
                speed = {n: statistics.median(run[0] for run in r) for n, r in runs.items()}
                p99 = {n: statistics.median(run[1] for run in r) * 1000 for n, r in runs.items()}
                print(
                    f"{clients:>2} clients: assign {speed['assign']:6.0f}/s, bare "
                    f"{speed['bare']:6.0f}/s, share {share:.2f} (by processor time "
                    f"{work['bare'] / work['assign']:.2f}); p99 {p99['assign']:.2f} ms, bare "
                    f"{p99['bare']:.2f} ms, ratio {tail:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
