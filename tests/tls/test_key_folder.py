"""A key folder: what is made in it, and when nothing may be."""

from __future__ import annotations

import os
import stat

from cryptography import x509

from chatsvc.tls.certificates import fingerprint
from chatsvc.tls.key_folder import KeyFolder
from tests.tls.folders import FolderTestCase, mode_of, read, write


class EnsureTests(FolderTestCase):
    """What is made, and when nothing may be."""

    def test_made_with_safe_modes(self) -> None:
        """Another user of the machine could read the private key or the token secret."""
        self.folder.ensure([])
        self.assertEqual(mode_of(self.folder.path), 0o700)
        for path in (self.folder.key_path, self.folder.secret_path):
            self.assertEqual(mode_of(path), 0o600)
        names = sorted(os.listdir(self.folder.path))
        self.assertEqual(names, ["server.crt", "server.key", "token.secret"])

    def test_private_from_the_start(self) -> None:
        """Under a lax umask a secret would be readable until its mode was mended."""
        modes: list[int] = []
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            fsync(descriptor)

        self.addCleanup(os.umask, os.umask(0))
        self.patch(os, "fsync", noted)
        self.folder.ensure([])
        self.assertEqual(modes, [0o600, 0o644, 0o600, 0o700])

    def test_says_what_it_made(self) -> None:
        """An admin would not know where the key is, or what to compare with a client's screen."""
        made = self.folder.ensure([])
        paths = (self.folder.path, self.folder.key_path, self.folder.certificate_path)
        for path, line in zip((*paths, self.folder.secret_path), made, strict=True):
            self.assertIn(path, line)
        self.assertIn(fingerprint(read(self.folder.certificate_path)), made[2])

    def test_made_once(self) -> None:
        """Each start would have a new certificate and end all tokens."""
        self.folder.ensure([])
        before = read(self.folder.certificate_path), self.folder.token_secret()
        self.assertEqual(self.folder.ensure(["other"]), [])
        self.assertEqual((read(self.folder.certificate_path), self.folder.token_secret()), before)

    def test_only_what_is_missing(self) -> None:
        """A removed token secret would stop the start, or renew the certificate too."""
        self.folder.ensure([])
        os.unlink(self.folder.secret_path)
        (line,) = self.folder.ensure([])
        self.assertIn(self.folder.secret_path, line)

    def test_folder_of_a_checkout(self) -> None:
        """A folder that is there, with a README and the mode of a checkout, would be refused."""
        os.mkdir(self.folder.path, 0o755)
        write(os.path.join(self.folder.path, "README.md"), b"")
        self.assertEqual(len(self.folder.ensure([])), 3)

    def test_names(self) -> None:
        """Clients could not connect by the name or the address of the machine."""
        self.folder.ensure(["Chat.example", "10.0.0.1", "localhost", "", "no name", "主机.example"])
        certificate = x509.load_pem_x509_certificate(read(self.folder.certificate_path))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(
            [str(name.value) for name in names],
            [
                "localhost",
                "chat.example",
                "10.0.0.1",
                "xn--tiq422d.example",
                "127.0.0.1",
                "::1",
            ],
        )

    def test_half_a_pair(self) -> None:
        """A key that somebody forgot to copy would be replaced, and all clients would refuse it."""
        self.folder.ensure([])
        kept = read(self.folder.certificate_path)
        os.unlink(self.folder.key_path)
        self.refused(self.folder.key_path)
        self.assertFalse(os.path.exists(self.folder.key_path))
        self.assertEqual(read(self.folder.certificate_path), kept)

    def test_crash_leaves_no_half_file(self) -> None:
        """After a crash or on a full disk a cut file would stop every later start."""

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patched = self.patch(os, "fsync", full)
        self.assertIn("No space left", self.refused(self.folder.key_path))
        self.assertFalse(os.path.lexists(self.folder.key_path))
        patched.restore()
        self.assertEqual(len(self.folder.ensure([])), 3)

    def test_nothing_beside_what_is_broken(self) -> None:
        """A key or a secret would be made of which nobody hears, for something else in the folder is broken."""
        self.folder.ensure([])
        os.unlink(self.folder.secret_path)
        write(self.folder.certificate_path, b"nothing")
        self.refused(self.folder.certificate_path)
        self.assertFalse(os.path.exists(self.folder.secret_path))
        for path in (self.folder.key_path, self.folder.certificate_path):
            os.unlink(path)
        write(self.folder.secret_path, b"nothing")
        os.chmod(self.folder.secret_path, 0o600)
        self.refused(self.folder.secret_path)
        self.assertEqual(os.listdir(self.folder.path), ["token.secret"])

    def test_readable_by_others(self) -> None:
        """A key that others may have copied would be used without a word."""
        self.folder.ensure([])
        for path in (self.folder.key_path, self.folder.secret_path):
            for mode in (0o640, 0o604):
                os.chmod(path, mode)
                self.assertIn(f"chmod 600 {path}", self.refused(path))
            os.chmod(path, 0o600)
        self.assertEqual(self.folder.ensure([]), [])

    def test_unusable_folder(self) -> None:
        """A wrong --keys would end in a traceback."""
        file = write(os.path.join(self.base, "file"), b"")
        for path in (file, os.path.join(file, "keys")):
            self.folder = KeyFolder(path)
            self.refused(path)

    def test_unwritable_folder(self) -> None:
        """A folder of another user would end in a traceback."""
        os.mkdir(self.folder.path)
        real = os.open

        def denied(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_CREAT:
                raise PermissionError(13, "Permission denied")
            return real(path, flags, mode)

        self.patch(os, "open", denied)
        self.refused(self.folder.key_path)

    def test_broken_files(self) -> None:
        """A damaged file would end in a traceback, or be replaced without being asked."""
        self.folder.ensure([])
        for path in (
            self.folder.key_path,
            self.folder.certificate_path,
            self.folder.secret_path,
        ):
            good = read(path)
            for bad in (b"", b"\xff\x00", good[:20], good[: len(good) // 2]):
                write(path, bad)
                self.refused(path)
                self.assertEqual(read(path), bad)
            write(path, good)
        self.assertEqual(self.folder.ensure([]), [])

    def test_unreadable_files(self) -> None:
        """A folder in a file's place, or a link to nothing, would end in a traceback."""
        self.folder.ensure([])
        for path in (self.folder.certificate_path, self.folder.key_path, self.folder.secret_path):
            os.rename(path, path + ".kept")
            os.mkdir(path, 0o700)
            self.refused(path)
            os.rmdir(path)
            os.symlink("nowhere", path)
            self.refused(path)
            os.unlink(path)
            os.rename(path + ".kept", path)

    def test_secret(self) -> None:
        """Tokens could be signed with a secret that can be guessed."""
        self.folder.ensure([])
        self.assertEqual(len(self.folder.token_secret()), 32)
        other = KeyFolder(os.path.join(self.base, "other"))
        other.ensure([])
        self.assertNotEqual(other.token_secret(), self.folder.token_secret())
        write(self.folder.secret_path, b"00" * 31)
        self.refused(self.folder.secret_path, self.folder.token_secret)
