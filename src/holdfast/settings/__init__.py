"""Settings: declared once as typed classes, read from the environment, a secrets directory and a file.

`declare.py` says what a setting is, `values.py` decides whether a raw value is allowed, `sources.py` reads the
world, `loading.py` brings them together, `showing.py` prints them.
"""

from holdfast.settings.declare import Option as Option
from holdfast.settings.declare import Settings as Settings
from holdfast.settings.declare import declared as declared
from holdfast.settings.declare import option as option
from holdfast.settings.declare import options_of as options_of
from holdfast.settings.loading import Unknown as Unknown
from holdfast.settings.loading import load as load
from holdfast.settings.loading import load_all as load_all
from holdfast.settings.loading import unknown as unknown
from holdfast.settings.loading import warn_of_unknown as warn_of_unknown
from holdfast.settings.secret import Secret as Secret
from holdfast.settings.showing import Row as Row
from holdfast.settings.showing import explain as explain
from holdfast.settings.showing import markdown as markdown
from holdfast.settings.showing import refreshed as refreshed
from holdfast.settings.showing import render as render
