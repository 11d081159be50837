"""One component a file: a typed signature and the library call behind it.

They are lightweight components on our own image, so that the laptop's subprocess runner and a cluster run the
same definitions. A body may import nothing but the installed library.
"""

from functools import partial

from kfp import dsl

from bonafide import __version__

BASE_IMAGE = f"ghcr.io/bonafide/pipeline:{__version__}"
DRIFT_IMAGE = f"ghcr.io/bonafide/drift:{__version__}"  # has the detectors' environment too

component = partial(dsl.component, base_image=BASE_IMAGE, packages_to_install=[], install_kfp_package=False)
