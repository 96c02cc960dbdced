"""What the images take on a node's disk, unpacked, the base included, in MB of 10^6 bytes.

python -m tests.bench.images              # the published run
python -m tests.bench.images --dry        # a look: nothing is written
"""

import argparse

from tests.bench.record import record
from tests.cluster.images import build_and_load_images
from tests.cluster.providers import ensure_cluster, find_provider

IMAGES = ("server", "trainer", "trainer-neural", "operator")


def main() -> None:
    """Builds what is missing, measures, prints and records."""
    parser = argparse.ArgumentParser(description="Sizes of the images.")
    parser.add_argument("--dry", action="store_true", help="print alone, record nothing")
    arguments = parser.parse_args()
    ensure_cluster()
    for name, tag in build_and_load_images(*IMAGES).items():
        figure, size = f"{name.replace('-', '_')}.image_mb", find_provider().image_bytes(tag) / 1e6
        print(f"{figure:45} {size:10.1f} MB", flush=True)
        if not arguments.dry:
            record(figure, round(size, 1), "MB")


if __name__ == "__main__":
    main()
