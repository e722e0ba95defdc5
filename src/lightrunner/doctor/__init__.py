"""Check whether runs can work here, and say what to do: ``await lightrunner.doctor.examine()``.

examine.py     looks at the daemon and this host
facts.py       what it has seen
findings.py    what that means, and what to do (pure)
"""

from .examine import examine as examine
from .findings import Diagnosis as Diagnosis
from .findings import Finding as Finding
from .findings import Level as Level
