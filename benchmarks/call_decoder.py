"""Calls one decoder on saved maps so often and no more: what bench_part_affinity.py counts."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from peers import OURS, Decoder, pyposefast_decoder, trt_pose_parser


def main() -> None:
    """Load, then call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("decoder", help=f"{OURS}, or the path of trt_pose's parser")
    parser.add_argument("maps", type=Path, help="folder with heat.npy and paf.npy")
    parser.add_argument("calls", type=int)
    arguments = parser.parse_args()
    if arguments.decoder == OURS:
        decoder = pyposefast_decoder()
    else:
        decoder = Decoder(trt_pose_parser(Path(arguments.decoder)), lambda people: people)
    heat, paf = (np.load(arguments.maps / f"{name}.npy") for name in ("heat", "paf"))
    decode = decoder.on(heat, paf)
    for _ in range(arguments.calls):
        decode()


if __name__ == "__main__":
    main()
