"""Check whether runs can work here, and say what to do: ``await lightrunner.doctor.examine()``.

examine.py     reads the daemon's and this host's configuration and state
facts.py       the structs that it fills
findings.py    judges them, with advice (pure)
"""

from .examine import examine as examine
from .findings import Diagnosis as Diagnosis
from .findings import Finding as Finding
from .findings import Level as Level
