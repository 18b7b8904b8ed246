"""What `make lab` adds to the settings of JupyterLab: nothing leaves this machine.

The folder of this file stands in JUPYTER_CONFIG_PATH, so what is set here wins over the person's
own configuration.
"""

import secrets
from pathlib import Path

c = get_config()  # noqa: F821 (given by traitlets)

project = Path(__file__).resolve().parent.parent
c.ServerApp.root_dir = str(project)
c.LabApp.default_url = "/lab/tree/notebooks"

# Only this machine, only who has the token; a person's setting for no token does not hold here.
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.allow_remote_access = False
c.ServerApp.allow_origin = ""
c.ServerApp.disable_check_xsrf = False
c.IdentityProvider.token = secrets.token_hex(24)

# Kernels listen on sockets in the person's runtime folder, not on ports that anybody can reach.
c.KernelManager.transport = "ipc"
c.MultiKernelManager.default_kernel_name = "python3"

# No news, no question about updates, no list of extensions from elsewhere.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
