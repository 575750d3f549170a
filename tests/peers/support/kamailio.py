"""Kamailio as a proxy between phones and the server: it record-routes, so that all of a call goes through it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from .ports import free_port
from .server import NUMBER, DialroomServer
from .waiting import wait_until

PROGRAM = shutil.which("kamailio") or "/usr/sbin/kamailio"
"""Debian puts it where only root looks for programs."""

CONFIG = """\
debug=2
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
modparam("rr", "enable_double_rr", 1)
# Send it at once: a test has it wait beside its INVITE in the server's socket, where it cannot come too late.
modparam("tm", "cancel_b_method", 2)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    xlog("L_ERR", "PASSED $rm $ci $cs from $sp\\n");
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
        }}
        else sl_send_reply("404", "Not here");
        exit;
    }}
    record_route();
    $du = "sip:127.0.0.1:{server};transport={transport}";
    t_relay();
}}
"""


class Kamailio:
    """A proxy in front of ``server``, which it reaches by ``transport``; use it as a context manager."""

    def __init__(self, folder: Path, server: DialroomServer, *, transport: str = "udp") -> None:
        folder.mkdir(parents=True)
        self.port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)
        self._folder = folder
        config = CONFIG.format(port=self.port, server=server.sip_port, transport=transport)
        (folder / "kamailio.cfg").write_text(config)

    def __enter__(self) -> Self:
        command = [PROGRAM, "-DD", "-E", "-f", "kamailio.cfg", "-Y", str(self._folder), "-m", "16", "-M", "4"]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        try:
            wait_until(self._listens, 20, lambda: f"Kamailio does not listen:\n{self.log()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def sip(self, *, transport: str = "udp") -> str:
        """The address to dial."""
        return f"sip:{NUMBER}@127.0.0.1:{self.port};transport={transport}"

    def passed(self, method: str, *, by: int | None = None) -> int:
        """How many different requests of this method came along (from this port)."""
        return len(set(re.findall(rf"PASSED {method} (\S+ \d+) from {by or ''}", self.log())))

    def waits_for(self, method: str) -> None:
        """Waits until a request of this method came along."""
        wait_until(lambda: self.passed(method), 20, lambda: f"no {method} came along:\n{self.log()}")

    def log(self) -> str:
        """What Kamailio told so far."""
        return (self._folder / "log").read_text(errors="replace")

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"Kamailio ended:\n{self.log()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
