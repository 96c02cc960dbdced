"""`python -m tests.cluster up | images | status | down`."""

import argparse

from tests.cluster.images import IMAGES, build_and_load_images
from tests.cluster.providers import ensure_cluster, find_provider


def main() -> int:
    """Runs one command; the exit status is that of a program."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real cluster for tests and demo.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it; prints its kubeconfig's path")
    up.add_argument("--control-plane", action="store_true", help="API server and controllers alone: no Pod runs")
    images = commands.add_parser("images", help="build the images and load them")
    images.add_argument("names", nargs="*", choices=[*IMAGES, []], help="which; all of them when none is named")
    commands.add_parser("status", help="how it does")
    commands.add_parser("down", help="stop it")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "up":
                print(ensure_cluster(control_plane_only=arguments.control_plane))
            case "images":
                ensure_cluster()
                print(*build_and_load_images(*arguments.names).values(), sep="\n")
            case "status":
                return 0 if find_provider().status() else 1
            case "down":
                find_provider().down()
    except RuntimeError as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
