"""The program, loaded once and run many times, for tests that start it by the hundred.

Loading LibTorch takes most of a second, longer than nearly all commands of a test. So a process
stops before its main (tests/fault/fork_server.cpp), and each run is a copy of it."""

import os
import socket
import subprocess
import tempfile


class ProgramServer:
    def __init__(self, program, library, path):
        """path: where its socket is made."""
        self.path = str(path)
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            # Any number: without one the program would start itself anew to set it.
            env={"GOMP_SPINCOUNT": "10000", **os.environ, "LD_PRELOAD": str(library),
                 "FAULT_SERVER": self.path})
        if self.process.stdout.readline() != "listening\n":
            raise RuntimeError(f"{program} does not serve with {library} in front")

    def close(self):
        self.process.communicate(timeout=60)

    def run(self, args, cwd=".", variables=None, timeout=600):
        """As subprocess.run, with stdout and stderr as text. variables: of the environment, beside
        those that there were when the server started."""
        words = [str(cwd), *(f"{name}={value}" for name, value in (variables or {}).items()), "",
                 *map(str, args)]
        with (tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors,
              socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection):
            connection.settimeout(timeout)
            connection.connect(self.path)
            socket.send_fds(connection, [os.fsencode("\0".join([*words, ""]))],
                            [output.fileno(), errors.fileno()])
            status = int.from_bytes(connection.recv(4), "little")
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(args, os.waitstatus_to_exitcode(status),
                                               output.read(), errors.read())
