"""An RFB client that gets as far as the password: rfb.py PORT PASSWORD ends with 0 when the server lets it in,
with 3 when it does not. For VNC servers inside the sandbox, where it runs."""
import socket
import struct
import sys

# DES by FIPS 46-3; bits are lists, the first is the highest.
IP = [base - 8 * column for base in (58, 60, 62, 64, 57, 59, 61, 63) for column in range(8)]
FP = [IP.index(bit + 1) + 1 for bit in range(64)]
E = [(4 * row + column - 1) % 32 + 1 for row in range(8) for column in range(6)]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
     2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
       63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
       41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = ["e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
     "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
     "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
     "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
     "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
     "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
     "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
     "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b"]


def bits(data):
    return [byte >> (7 - i) & 1 for byte in data for i in range(8)]


def pick(table, source):
    return [source[i - 1] for i in table]


def substitute(box, six):
    row, column = six[0] * 2 + six[5], int("".join(map(str, six[1:5])), 2)
    value = int(S[box][16 * row + column], 16)
    return [value >> (3 - i) & 1 for i in range(4)]


def des(key, block):
    found = pick(PC1, bits(key))
    c, d = found[:28], found[28:]
    data = pick(IP, bits(block))
    left, right = data[:32], data[32:]
    for shift in SHIFTS:
        c, d = c[shift:] + c[:shift], d[shift:] + d[:shift]
        mixed = [a ^ b for a, b in zip(pick(E, right), pick(PC2, c + d))]
        out = [bit for box in range(8) for bit in substitute(box, mixed[6 * box:6 * box + 6])]
        left, right = right, [a ^ b for a, b in zip(left, pick(P, out))]
    out = pick(FP, right + left)
    return bytes(int("".join(map(str, out[i:i + 8])), 2) for i in range(0, 64, 8))


def response(password, challenge):
    """RFB has the bits of a key the other way round."""
    raw = password.encode()[:8].ljust(8, b"\0")
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw)
    return des(key, challenge[:8]) + des(key, challenge[8:])


def let_in(port, password):
    with socket.create_connection(("127.0.0.1", port), 30) as wire, wire.makefile("rb") as said:
        assert said.read(12) == b"RFB 003.008\n"
        wire.sendall(b"RFB 003.008\n")
        kinds = said.read(said.read(1)[0])
        assert kinds == b"\x02", f"not by password, but by {kinds!r}"
        wire.sendall(b"\x02")
        wire.sendall(response(password, said.read(16)))
        if struct.unpack(">I", said.read(4))[0] != 0:
            return False
        wire.sendall(b"\x01")
        width, height = struct.unpack(">HH", said.read(4))
        assert width and height
        return True


if __name__ == "__main__":
    assert des(bytes.fromhex("133457799bbcdff1"), bytes.fromhex("0123456789abcdef")).hex() == "85e813540f0ab405"
    sys.exit(0 if let_in(int(sys.argv[1]), sys.argv[2]) else 3)
