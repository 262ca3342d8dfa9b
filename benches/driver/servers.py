"""Real web servers: Apache with git's own `git http-backend`, on free ports of the loopback interface.

A side is one Apache with a plain and a TLS port. Source and target get one each, so that neither waits for the
other's workers. Requests are counted from the access logs.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from workspace import BenchError, Workspace

MODULES = ["mpm_event", "unixd", "log_config", "authz_core", "alias", "env", "setenvif", "cgid", "socache_shmcb", "ssl"]
MODULE_DIRECTORIES = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"]
START_SECONDS = 20
STOP_SECONDS = 5

CONFIG = """\
ServerRoot {dir}
ServerName localhost
DefaultRuntimeDir {dir}
Mutex file:{dir}
PidFile {dir}/pid
ErrorLog {dir}/error.log
LogLevel warn
LogFormat "%{{usec}}t %D %m %U%q %>s" bench
CustomLog {dir}/access.log bench
ScriptSock {dir}/cgid.sock
Timeout 900
# The default of Apache 2.4.53 and later is 1 GiB, too little for the largest push.
LimitRequestBody 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 15
StartServers 1
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{tls}
{user}
SetEnv GIT_PROJECT_ROOT {repositories}
SetEnv GIT_HTTP_EXPORT_ALL 1
SetEnv GIT_CONFIG_NOSYSTEM 1
SetEnv GIT_CONFIG_GLOBAL {gitconfig}
SetEnv HOME {dir}
SetEnvIf Git-Protocol ".*" GIT_PROTOCOL=$0
ScriptAlias / {backend}/
<Directory />
    Require all granted
</Directory>
<VirtualHost 127.0.0.1:{tls}>
    SSLEngine on
    SSLCertificateFile {certs}/server.pem
    SSLCertificateKeyFile {certs}/server.key
</VirtualHost>
"""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_user() -> Optional[str]:
    """Whom Apache's children run as when root starts it, or nothing when they stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "apache", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise BenchError("as root, Apache needs a user to run as: www-data, apache or nobody")


def give_to_server(path: Path) -> None:
    """Makes a repository writable for the web server."""
    user = server_user()
    if user is not None:
        subprocess.run(["chown", "-R", user, "--", str(path)], check=True)


def make_certificates(space: Workspace) -> None:
    """A certificate authority that lives as long as the run, and one certificate for localhost."""
    tls = space.root / "tls"
    tls.mkdir()
    (tls / "extensions").write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
    openssl = space.tools["openssl"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    space.run([openssl, "req", "-x509", *key, "-days", "2", "-subj", "/CN=bench CA",
               "-keyout", "ca.key", "-out", "ca.pem"], cwd=tls)
    space.run([openssl, "req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"], cwd=tls)
    space.run([openssl, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
               "-days", "2", "-extfile", "extensions", "-out", "server.pem"], cwd=tls)


@dataclass
class Request:
    """One line of the access log; times in microseconds."""

    started: int
    ended: int
    method: str
    path: str
    status: int

    def is_push(self) -> bool:
        """Whether it brings something to the target."""
        return self.method == "POST" and self.path.endswith("/git-receive-pack")


class Server:
    """One running Apache."""

    def __init__(self, space: Workspace, name: str) -> None:
        self.space = space
        self.directory = space.root / f"apache-{name}"
        self.repositories = space.root / name
        self.plain_port = free_port()
        self.tls_port = free_port()
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Starts it and waits until both ports answer."""
        self.directory.mkdir()
        self.repositories.mkdir(exist_ok=True)
        config = self.directory / "httpd.conf"
        config.write_text(self._modules() + self._config())
        command = [self.space.tools["apache2"], "-f", str(config), "-DFOREGROUND"]
        with (self.directory / "output").open("wb") as output:
            # A session of its own: ctrl-C is for us, and we stop it in our order.
            self.process = subprocess.Popen(
                command, env=self.space.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not all(answers(port) for port in (self.plain_port, self.tls_port)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"Apache did not start: {self._words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it, and by force what does not go by itself."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def url(self, repository: str, tls: bool = False, port: Optional[int] = None) -> str:
        """The URL of a repository; `port` when something stands in between."""
        scheme, own = ("https", self.tls_port) if tls else ("http", self.plain_port)
        return f"{scheme}://127.0.0.1:{port or own}/{repository}"

    def log_position(self) -> int:
        """Where the access log ends now."""
        log = self.directory / "access.log"
        return log.stat().st_size if log.exists() else 0

    def requests_since(self, position: int) -> List[Request]:
        """The requests logged behind the position."""
        requests = []
        with (self.directory / "access.log").open("rb") as log:
            log.seek(position)
            for line in log.read().decode(errors="replace").splitlines():
                started, micros, method, path, status = line.split(" ")
                requests.append(Request(int(started), int(started) + int(micros), method, path, int(status)))
        return requests

    def _modules(self) -> str:
        """LoadModule lines for what this Apache has not compiled in."""
        built_in = self.space.run([self.space.tools["apache2"], "-l"]).decode()
        directory = next((found for found in MODULE_DIRECTORIES if Path(found).is_dir()), None)
        lines = []
        for module in MODULES:
            if re.search(rf"\bmod_{module}\.c|^\s*{module}\.c", built_in, re.M):
                continue
            if directory is None or not Path(directory, f"mod_{module}.so").exists():
                raise BenchError(f"Apache's mod_{module} is not in {' or '.join(MODULE_DIRECTORIES)}")
            lines.append(f"LoadModule {module}_module {directory}/mod_{module}.so\n")
        return "".join(lines)

    def _config(self) -> str:
        backend = Path(self.space.git("--exec-path").decode().strip(), "git-http-backend")
        if not backend.exists():
            raise BenchError(f"this git has no {backend}")
        user = server_user()
        return CONFIG.format(
            dir=self.directory, plain=self.plain_port, tls=self.tls_port, user=f"User {user}" if user else "",
            repositories=self.repositories, gitconfig=self.space.root / "gitconfig", backend=backend,
            certs=self.space.root / "tls",
        )

    def _words(self) -> str:
        texts = []
        for name in ("output", "error.log"):
            file = self.directory / name
            if file.exists():
                texts.append(file.read_text(errors="replace").strip())
        return " ".join(text for text in texts if text) or "it said nothing"


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def longest_chain(requests: List[Request], round_trip: int) -> int:
    """How many requests had to wait for one another, on a line with this round trip in microseconds.

    Who waits for an answer cannot be back in less than a round trip after the server gave it; so this is the most
    requests that lie so far apart. What begins after the last push has begun is left out: nobody waits for it there,
    and what is waited for behind the push shows in the time that the line costs.
    """
    count, free_at = 0, 0
    pushes = [request.started for request in requests if request.is_push()]
    last = max(pushes, default=sys.maxsize)
    spans: List[Tuple[int, int]] = sorted(
        (request.ended, request.started) for request in requests if request.started <= last
    )
    for ended, started in spans:
        if started >= free_at:
            count, free_at = count + 1, ended + round_trip * 9 // 10
    return count
