"""The Python fallback: mlx_lm.server for one model, with caps.

It is the last URL of the router and takes over while the engine is away. A client's `model` never
makes it load or fetch another one; memory that MLX keeps for reuse is bounded and cleared at launch.
"""

import argparse
import json
import os
import signal
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import mlx.core as mx  # noqa: E402
from mlx_lm import server  # noqa: E402

MEBIBYTE = 1 << 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--model-name", required=True, help="as clients know it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--cache-limit-mb", type=int, default=1024)
    parser.add_argument("--memory-limit-mb", type=int)
    return parser.parse_args()


def cap_memory(arguments):
    cache_bytes = arguments.cache_limit_mb * MEBIBYTE
    mx.set_cache_limit(cache_bytes)
    if arguments.memory_limit_mb is not None:
        mx.set_memory_limit(arguments.memory_limit_mb * MEBIBYTE)
    mx.clear_cache()
    return cache_bytes


class OneModel(server.ModelProvider):
    """Serves the model it was started with, whatever a request calls it."""

    def load(self, model_path, adapter_path=None, draft_model_path=None):
        return super().load("default_model", None, "default_model")


def list_one_model(name):
    def handle_models_request(handler):
        entry = {"id": name, "object": "model", "created": handler.created, "owned_by": "mlx-lm"}
        body = json.dumps({"object": "list", "data": [entry]}).encode()
        handler._set_completion_headers(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return handle_models_request


def stop(_signal, _frame):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    cache_bytes = cap_memory(arguments)
    server.ModelProvider = OneModel
    server.APIHandler.handle_models_request = list_one_model(arguments.model_name)
    signal.signal(signal.SIGTERM, stop)
    sys.argv = [
        "mlx_lm.server",
        *("--model", arguments.model),
        *("--host", arguments.host),
        *("--port", str(arguments.port)),
        # Any web page could read its answers otherwise.
        *("--allowed-origins", f"http://{arguments.host}:{arguments.port}"),
        *("--prompt-cache-bytes", str(cache_bytes)),
        # As the engine does unless asked otherwise.
        *("--chat-template-args", '{"enable_thinking": false}'),
    ]
    server.main()


if __name__ == "__main__":
    main()
