"""Manifest and signature of an exported model:

    python sign.py --model deploy/models/padawan --key ~/.sanctum-signing/padawan.key \\
        --public deploy/trust/manifest-pubkey.ed25519 --version 1

Both are written beside the folder, because a file inside it that the manifest does not list is
refused. The key is made where it is missing, 0600; it never belongs in the repository.
"""

import argparse
import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def load_key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, 'wb') as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def manifest_text(folder: Path, version: int, public: bytes) -> str:
    """coreutils `sha256sum` lines for every file of the folder, under three comment lines."""
    lines = [f'# sanctum-model: {folder.name}', f'# sanctum-version: {version}',
             f'# sanctum-key-id: {key_id(public)}']
    for path in sorted(folder.rglob('*')):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f'{path} is not a plain file')
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f'{digest}  {path.relative_to(folder).as_posix()}')
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, required=True)
    parser.add_argument('--key', type=Path, required=True)
    parser.add_argument('--public', type=Path, required=True)
    parser.add_argument('--version', type=int, required=True)
    options = parser.parse_args()
    folder = options.model.resolve()
    key = load_key(options.key.expanduser())
    public = key.public_key().public_bytes_raw()
    manifest = manifest_text(folder, options.version, public).encode()
    target = folder.with_name(folder.name + '.manifest.sha256')
    target.write_bytes(manifest)
    target.with_name(target.name + '.sig').write_bytes(key.sign(manifest))
    options.public.parent.mkdir(parents=True, exist_ok=True)
    options.public.write_bytes(public)


if __name__ == '__main__':
    main()
