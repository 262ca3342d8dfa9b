"""Tests of what the figures hang on and a run would not show: `python3 -m unittest discover -s benches/driver`."""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from aims import speed_aims
from contenders import pkt
from measuring import Sample, Summary
from repositories import Shape, edited, history, line_pool
from servers import Request, longest_chain


def request(started: int, ended: int) -> Request:
    return Request(started, ended, "GET", "/", 200)


class Chain(unittest.TestCase):
    def test_what_starts_a_round_trip_later_waited(self) -> None:
        self.assertEqual(longest_chain([request(1000, 1010), request(1120, 1130), request(1240, 1250)], 100), 3)

    def test_what_starts_at_once_did_not(self) -> None:
        # One side a little later than the other, and then one that waited for both.
        self.assertEqual(longest_chain([request(1000, 1004), request(1005, 1015), request(1120, 1130)], 100), 2)

    def test_a_long_request_hides_nothing_that_waited(self) -> None:
        self.assertEqual(longest_chain([request(1000, 9000), request(1200, 1210), request(1320, 1330)], 100), 2)

    def test_what_begins_behind_the_push_is_left_out(self) -> None:
        push = Request(1120, 1300, "POST", "/a/git-receive-pack", 200)
        beside = [request(1130, 1140), request(1400, 1410)]
        self.assertEqual(longest_chain([request(1000, 1010), push, *beside], 100), 2)

    def test_none(self) -> None:
        self.assertEqual(longest_chain([], 100), 0)


class Wire(unittest.TestCase):
    def test_packet_line(self) -> None:
        self.assertEqual(pkt("done\n"), b"0009done\n")


class Generated(unittest.TestCase):
    def test_the_same_bytes_each_time(self) -> None:
        digests = set()
        for _ in range(2):
            digest = hashlib.sha1(b"".join(history(Shape(commits=20, files=5, branches=2, tags=2), seed=1)))
            digests.add(digest.hexdigest())
        self.assertEqual(len(digests), 1)

    def test_an_edit_changes_little(self) -> None:
        dice = random.Random(1)
        pool = line_pool(dice)
        before = dice.choices(pool, k=100)
        after = edited(before, pool, dice)
        self.assertNotEqual(before, after)
        self.assertGreater(len(set(before) & set(after)), 90)


class Aims(unittest.TestCase):
    def test_slower_than_the_limit_is_told(self) -> None:
        results = {"bootstrap-x": {name: Summary(name, [Sample(seconds, 0, 0, 0)])
                                   for name, seconds in (("relay", 2.0), ("bare", 1.0))}}
        aim = speed_aims(results, {"bootstrap-x": 3})[0]
        self.assertEqual((aim.measured, aim.met), ("0.50", False))

    def test_a_failed_contender_has_no_aim(self) -> None:
        results = {"bootstrap-x": {"relay": Summary("relay", failure="no"), "bare": Summary("bare")}}
        self.assertEqual(speed_aims(results, {"bootstrap-x": 3}), [])


class Latency(unittest.TestCase):
    MILLIS = 30
    BYTES = 32 << 20

    def setUp(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(10)
        threading.Thread(target=self.serve, daemon=True).start()
        program = Path(__file__).with_name("latency.py")
        port = self.server.getsockname()[1]
        self.proxy = subprocess.Popen([sys.executable, str(program), str(self.MILLIS), str(port)],
                                      stdout=subprocess.PIPE)
        assert self.proxy.stdout is not None
        self.port = int(self.proxy.stdout.readline())

    def tearDown(self) -> None:
        self.proxy.terminate()
        self.proxy.communicate()
        self.server.close()

    def serve(self) -> None:
        """Two words are answered as they are; then comes much, and the end."""
        connection, _ = self.server.accept()
        with connection:
            for _ in range(2):
                connection.sendall(connection.recv(4))
            connection.sendall(bytes(self.BYTES))

    def test_each_way_costs_the_delay_and_opening_a_round_trip(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            took = []
            for _ in range(2):
                before = time.perf_counter()
                client.sendall(b"word")
                self.assertEqual(client.recv(4), b"word")
                took.append((time.perf_counter() - before) * 1000)
            received = 0
            while data := client.recv(1 << 20):
                received += len(data)
        self.assertGreaterEqual(took[0], 4 * self.MILLIS - 1)
        self.assertGreaterEqual(took[1], 2 * self.MILLIS - 1)
        self.assertLess(took[1], took[0])
        self.assertEqual(received, self.BYTES)


if __name__ == "__main__":
    unittest.main()
