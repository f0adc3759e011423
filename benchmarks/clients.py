"""Clients that wait for their answers: `python -m benchmarks.clients PORT REQUESTS CYCLE...`, one for each cycle named."""

import asyncio
import json
import os
import sys
from time import perf_counter


async def client(port: int, number: int, cycle: int, requests: int, token: str, waits: list[float]) -> None:
    """One client on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for n in range(requests):
        body = json.dumps(
            {"cycle_id": cycle, "name": f"meter {number}", "type": "realtime", "amount_usd": n / 100}
        ).encode()
        head = (
            f"POST /budget/source HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        begun = perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"refused: {answer!r} {await reader.read(500)!r}")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        waits.append(perf_counter() - begun)
    writer.close()


async def main() -> None:
    """All clients at once."""
    port, requests, *cycles = map(int, sys.argv[1:])
    waits: list[float] = []
    begun = perf_counter()
    token = os.environ["MECRIS_TOKEN"]
    await asyncio.gather(*(client(port, n, cycle, requests, token, waits) for n, cycle in enumerate(cycles)))
    print(perf_counter() - begun, *waits)


if __name__ == "__main__":
    asyncio.run(main())
