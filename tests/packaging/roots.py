"""Roots of file systems to install packages in.

In both, systemctl writes its arguments to a file before it does what can be done where systemd does not run.
"""

import pathlib
import re
import shutil
import subprocess

UNIT = "daemonsetd.service"


class Root:
    def __init__(self, path):
        self.path = path

    def run(self, *command, check=True):
        """What `command` prints in this root; with check=False the finished process."""
        done = subprocess.run(["chroot", self.path, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout if check else done

    def calls(self):
        """The arguments of systemctl since the last time."""
        path = self.path / "systemctl-calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def read(self, path):
        return (self.path / path.lstrip("/")).read_text()

    def write(self, path, text):
        path = self.path / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def exists(self, path):
        return (self.path / path.lstrip("/")).is_symlink() or (self.path / path.lstrip("/")).exists()

    def enabled(self):
        return self.exists(f"/etc/systemd/system/multi-user.target.wants/{UNIT}")

    def record_systemctl(self, genuine):
        stub = self.path / "usr/bin/systemctl"
        stub.unlink(missing_ok=True)
        stub.write_text(f"""#!/bin/sh
echo "$*" >>/systemctl-calls
case " $* " in
  *" start "* | *" restart "*) : >/run/active ;;
  *" stop "* | *" --now "*) rm -f /run/active ;;
esac
case " $* " in
  *" is-active "*) test -e /run/active ;;
  *" is-enabled "* | *" preset "* | *" enable "* | *" disable "*)
    for word; do
      shift
      test "$word" = --now || set -- "$@" "$word"
    done
    SYSTEMD_OFFLINE=1 exec {genuine} "$@"
    ;;
esac
""")
        stub.chmod(0o755)


class DebianRoot(Root):
    """This machine's root file system, and a layer over it that takes every change."""

    def __init__(self, directory):
        self.mounted = []
        layer, path = directory / "layer", directory / "root"
        for made in (layer, path):
            made.mkdir()
        self.mount("-t", "tmpfs", "tmpfs", layer)
        (layer / "upper").mkdir()
        (layer / "work").mkdir()
        self.mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work", path)
        self.mount("--bind", "/proc", path / "proc")
        self.mount("--bind", "/dev", path / "dev")
        super().__init__(path)
        (path / "run/systemd/system").mkdir(parents=True)  # as where systemd runs
        (path / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # images of containers forbid to start services
        (path / "var/lib/man-db/auto-update").unlink(missing_ok=True)  # its index of all pages takes seconds
        shutil.copy2(path / "usr/bin/systemctl", path / "usr/bin/systemctl.genuine")
        self.record_systemctl("/usr/bin/systemctl.genuine")

    def mount(self, *words):
        subprocess.run(["mount", *words], check=True)
        self.mounted.insert(0, words[-1])

    def remove(self):
        for path in self.mounted:
            subprocess.run(["umount", path], check=True)

    def install(self, deb, *options):
        shutil.copy(deb, self.path / "package.deb")
        return self.run("dpkg", "--force-unsafe-io", *options, "--install", "/package.deb")


# What a system of Red Hat's ninth generation offers: glibc 2.34, GCC 11's libraries, OpenSSL 3.0.
GLIBC = ["2.2.5", "2.2.6", "2.3", "2.3.2", "2.3.3", "2.3.4", *(f"2.{minor}" for minor in range(4, 20)),
         *(f"2.{minor}" for minor in range(22, 35))]
PROVIDED = {
    "libc.so.6": [f"GLIBC_{version}" for version in GLIBC],
    "libm.so.6": [f"GLIBC_{version}" for version in GLIBC],
    "ld-linux-x86-64.so.2": ["GLIBC_2.2.5", "GLIBC_2.3", "GLIBC_2.4"],
    "libgcc_s.so.1": ["GCC_3.0", "GCC_3.3", "GCC_3.3.1", "GCC_3.4", "GCC_3.4.2", "GCC_4.0.0", "GCC_4.2.0", "GCC_4.3.0", "GCC_7.0.0"],
    "libstdc++.so.6": ["GLIBCXX_3.4", *(f"GLIBCXX_3.4.{patch}" for patch in range(1, 30)),
                       "CXXABI_1.3", *(f"CXXABI_1.3.{patch}" for patch in range(1, 14))],
    "libssl.so.3": ["OPENSSL_3.0.0"],
    "libcrypto.so.3": ["OPENSSL_3.0.0", "OPENSSL_3.0.1", "OPENSSL_3.0.3"],
}


def distribution_rpm(directory):
    """A package without files that provides what a distribution's packages of those libraries, sh and systemd do."""
    provided = ["/bin/sh", "systemd", "rtld(GNU_HASH)"]
    for library, versions in PROVIDED.items():
        provided += [f"{library}()(64bit)", *(f"{library}({version})(64bit)" for version in versions)]
    specification = directory / "distribution.spec"
    specification.write_text("Name: distribution\nVersion: 9\nRelease: 1\nSummary: What a distribution provides\nLicense: none\n"
                             "BuildArch: noarch\n" + "".join(f"Provides: {name}\n" for name in provided) +
                             "%description\nNothing.\n%files\n")
    subprocess.run(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {directory}", "--define", f"_rpmdir {directory}",
                    "--define", "_build_name_fmt distribution.rpm", specification], check=True)
    return directory / "distribution.rpm"


class RpmRoot(Root):
    """A root with an RPM database, the libraries that the programs need, a shell, and systemd's programs for scriptlets."""

    def __init__(self, directory, distribution):
        path = directory / "root"
        super().__init__(path)
        for name in ("bin", "sbin", "lib", "lib64"):
            (path / "usr" / name).mkdir(parents=True)
            (path / name).symlink_to(f"usr/{name}")
        for name in ("etc", "run", "var/lib"):
            (path / name).mkdir(parents=True)
        self.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        self.write("/etc/group", "root:x:0:\n")
        self.write("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n")
        self.copy_program("/bin/busybox", "/usr/bin/busybox")
        for name in ("sh", "rm", "test", "echo"):
            (path / "usr/bin" / name).symlink_to("busybox")
        self.copy_program("/usr/bin/systemctl", "/usr/bin/systemctl.genuine")
        self.record_systemctl("/usr/bin/systemctl.genuine")
        for name in ("systemd-sysusers", "systemd-tmpfiles"):
            self.copy_program(f"/usr/bin/{name}", f"/usr/bin/{name}")
        self.rpm("--install", distribution)

    def copy_program(self, source, target):
        """A program and the libraries that it needs, where its loader looks for them."""
        shutil.copy2(pathlib.Path(source).resolve(), self.path / target.lstrip("/"))
        self.copy_libraries(source)

    def copy_libraries(self, source):
        needed = subprocess.run(["ldd", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for library in re.findall(r"(/\S+)(?= \()", needed):
            copy = self.path / library.lstrip("/")
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(pathlib.Path(library).resolve(), copy)

    def rpm(self, *words, check=True):
        done = subprocess.run(["rpm", "--root", self.path, "--define", "_dbpath /var/lib/rpm", *words], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"rpm {words} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout if check else done
