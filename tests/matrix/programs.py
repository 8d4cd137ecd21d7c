"""The programs of the matrix: each prints SECRET, starts the child of ``child.c``, and waits for the end of its stdin.

They are written the way people write them: nothing here knows of Strongroom.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

C_SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv, char **envp)
{
    const char *value = getenv("SECRET");
    int copies = 0;

    for (char **entry = environ; *entry; entry++)
        copies += value && strncmp(*entry, "SECRET=", 7) == 0 && strcmp(*entry + 7, value) == 0;
    for (char **entry = envp; *entry; entry++)
        copies += value && strncmp(*entry, "SECRET=", 7) == 0 && strcmp(*entry + 7, value) == 0;
    printf("VALUE=%s\n", value && copies == 2 ? value : "(getenv and environ disagree)");
    fflush(stdout);
    if (fork() == 0) {
        execlp(argv[argc - 1], argv[argc - 1], (char *)0);
        _exit(127);
    }
    wait(0);
    while (getchar() != EOF) {
    }
    return 0;
}
"""

GO_SOURCE = """
package main

%s
import (
    "fmt"
    "io"
    "os"
    "os/exec"
)

func main() {
    fmt.Println("VALUE=" + os.Getenv("SECRET"))
    child := exec.Command(os.Args[1])
    child.Stdout = os.Stdout
    if err := child.Run(); err != nil {
        panic(err)
    }
    io.ReadAll(os.Stdin)
}
"""

RUST_SOURCE = """
use std::io::Read;

fn main() {
    println!("VALUE={}", std::env::var("SECRET").unwrap());
    let child = std::env::args().nth(1).unwrap();
    std::process::Command::new(child).status().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
"""

JAVA_SOURCE = """
public class Matrix {
    public static void main(String[] args) throws Exception {
        System.out.println("VALUE=" + System.getenv("SECRET"));
        new ProcessBuilder(args[0]).inheritIO().start().waitFor();
        while (System.in.read() >= 0) {
        }
    }
}
"""

PYTHON = """
import os, subprocess, sys
print("VALUE=" + os.environ["SECRET"], flush=True)
subprocess.run([sys.argv[1]], check=True)
sys.stdin.read()
"""

NODE = """
console.log("VALUE=" + process.env.SECRET);
require("child_process").spawnSync(process.argv[1], {stdio: "inherit"});
process.stdin.resume();
"""

RUBY = """
puts "VALUE=" + ENV["SECRET"]
$stdout.flush
system(ARGV[0])
$stdin.read
"""

PHP = """
echo "VALUE=", getenv("SECRET"), "\\n";
passthru($argv[1]);
while (fgets(STDIN) !== false);
"""

PERL = """
$| = 1;
print "VALUE=$ENV{SECRET}\\n";
system { $ARGV[0] } $ARGV[0];
1 while <STDIN>;
"""

LUA = """
print("VALUE=" .. os.getenv("SECRET"))
io.stdout:flush()
os.execute(arg[1])
io.read("a")
"""

SHELL = """
echo "VALUE=$SECRET"
"$1"
while read -r _; do :; done
"""

AWK = """
BEGIN {
    print "VALUE=" ENVIRON["SECRET"]
    fflush()
    system(ARGV[1])
    while ((getline line < "-") > 0);
}
"""

# As the official image of PostgreSQL does it: indirect expansion, another user, exec.
ENTRYPOINT = """\
#!/usr/bin/env bash
set -Eeo pipefail
file_env() {
    local var="$1" fileVar="${1}_FILE" val=
    if [ "${!var:-}" ] && [ "${!fileVar:-}" ]; then exit 1; fi
    if [ "${!var:-}" ]; then val="${!var}"; fi
    export "$var"="$val"
}
exec 3>&1 9>&1
file_env SECRET
exec 3>&- 9>&-
if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$BASH_SOURCE" "$@"
fi
exec "$@"
"""


@dataclass(frozen=True)
class Program:
    """One row: its name, how it is built in a directory, and what must be installed for it.

    ``build`` returns the command, to which the path of the child is appended.
    """

    name: str
    build: Callable[[Path], list[str]]
    tool: str
    rung: str = "preload"


def _compiled(compiler: list[str], suffix: str, source: str) -> Callable[[Path], list[str]]:
    def build(directory: Path) -> list[str]:
        name = "-".join(Path(word).name.lstrip("-") for word in compiler)
        file = directory / f"{name}{suffix}"
        file.write_text(source)
        subprocess.run([*compiler, "-o", str(directory / name), str(file)], check=True)
        return [str(directory / name)]

    return build


def _go(*, cgo: bool) -> Callable[[Path], list[str]]:
    def build(directory: Path) -> list[str]:
        file = directory / f"go{cgo:d}.go"
        # Only a program that uses C is linked with it.
        file.write_text(GO_SOURCE % ('// #include <stdlib.h>\nimport "C"\n' if cgo else ""))
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "CGO_ENABLED": f"{cgo:d}",
            "GO111MODULE": "off",
            "GOFLAGS": "-p=2",
            "GOCACHE": str(directory.parent / "go-cache"),
        }
        program = directory / f"go{cgo:d}"
        subprocess.run(["go", "build", "-o", str(program), str(file)], env=environ, check=True)
        return [str(program)]

    return build


def _java(directory: Path) -> list[str]:
    (directory / "Matrix.java").write_text(JAVA_SOURCE)
    subprocess.run(["javac", "-d", str(directory), str(directory / "Matrix.java")], check=True)
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(directory), "Matrix"]


def _script(interpreter: list[str], source: str) -> Callable[[Path], list[str]]:
    def build(directory: Path) -> list[str]:
        file = directory / f"{Path(interpreter[0]).name}-{len(interpreter)}.script"
        file.write_text(source)
        return [*interpreter, str(file)]

    return build


def _inline(*words: str) -> Callable[[Path], list[str]]:
    return lambda _: list(words)


def _entrypoint(directory: Path) -> list[str]:
    file = directory / "docker-entrypoint.sh"
    file.write_text(ENTRYPOINT)
    file.chmod(0o755)
    program = _compiled(["gcc", "-O1"], ".c", C_SOURCE)(directory)
    for folder in (directory, *directory.parents[:2]):  # the other user must get through what pytest made
        folder.chmod(0o755)
    return [str(file), *program]


def _behind(*words: str, build: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    """Put an entrypoint script, and what it starts, in front of a program."""

    def build_with_entrypoint(directory: Path) -> list[str]:
        file = directory / "entrypoint.sh"
        file.write_text('#!/bin/sh\nset -e\nexec "$@"\n')
        file.chmod(0o755)
        return [str(file), *words, *build(directory)]

    return build_with_entrypoint


PROGRAMS = (
    Program("C, glibc", _compiled(["gcc", "-O2"], ".c", C_SOURCE), "gcc"),
    Program("C, glibc, static", _compiled(["gcc", "-static"], ".c", C_SOURCE), "gcc", rung="ptrace"),
    Program("C, musl", _compiled(["musl-gcc", "-O2"], ".c", C_SOURCE), "musl-gcc"),
    Program("C, musl, static", _compiled(["musl-gcc", "-static"], ".c", C_SOURCE), "musl-gcc", rung="ptrace"),
    Program("Go, CGO_ENABLED=1", _go(cgo=True), "go"),
    Program("Go, CGO_ENABLED=0", _go(cgo=False), "go", rung="ptrace"),
    Program("Rust", _compiled(["rustc", "-O"], ".rs", RUST_SOURCE), "rustc"),
    Program("Python", _script(["python3"], PYTHON), "python3"),
    Program("Node", _inline("node", "-e", NODE), "node"),
    Program("Java", _java, "javac"),
    Program("Ruby", _script(["ruby"], RUBY), "ruby"),
    Program("PHP", _inline("php", "-r", PHP, "--"), "php"),
    Program("Perl", _script(["perl"], PERL), "perl"),
    Program("Lua", _script(["lua5.4"], LUA), "lua5.4"),
    Program("bash", _inline("bash", "-c", SHELL, "bash"), "bash"),
    Program("dash", _inline("dash", "-c", SHELL, "dash"), "dash"),
    Program("busybox ash", _inline("busybox", "ash", "-c", SHELL, "ash"), "busybox", rung="ptrace"),
    Program("gawk", _inline("gawk", AWK), "gawk"),
    Program("mawk", _inline("mawk", AWK), "mawk"),
    Program("entrypoint script with setpriv", _entrypoint, "setpriv"),
    Program("entrypoint script, then Go, CGO_ENABLED=0", _behind(build=_go(cgo=False)), "go"),
    Program(
        "entrypoint script, tini, then C, musl, static",
        _behind("tini", "-s", "--", build=_compiled(["musl-gcc", "-static"], ".c", C_SOURCE)),
        "tini",
    ),
)


def missing_tool(program: Program) -> bool:
    """Return whether the program cannot be built here."""
    return shutil.which(program.tool) is None


NGINX = """\
daemon off;
master_process on;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
env SECRET;
load_module /usr/lib/nginx/modules/ngx_http_perl_module.so;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    perl_set $secret 'sub {{ return $ENV{{"SECRET"}}; }}';
    server {{
        listen unix:{directory}/nginx.sock;
        return 200 "$secret";
    }}
}}
"""
