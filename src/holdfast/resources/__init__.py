"""Resources: what the code depends on is opened in order, passed in, and closed as soon as it is no longer needed.

`providers.py` reads what a provider's annotations say, `lifetime.py` keeps one resource open, `container.py` holds
those of one request, `registry.py` is the face: `Resources`.
"""

from holdfast.resources.container import Container as Container
from holdfast.resources.container import open_containers as open_containers
from holdfast.resources.providers import Named as Named
from holdfast.resources.registry import Health as Health
from holdfast.resources.registry import Resources as Resources
