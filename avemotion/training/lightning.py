"""Lightning, imported so that it also loads beside a torchvision of another build of torch.

It imports torchvision wherever that is installed, and fails where its compiled part does not load:
see `avemotion.compat`.
"""

from avemotion.compat import mend_torchvision

mend_torchvision()

import pytorch_lightning as pl  # noqa: E402  (after torchvision)
from pytorch_lightning.plugins.io import TorchCheckpointIO  # noqa: E402

__all__ = ["TorchCheckpointIO", "pl"]
