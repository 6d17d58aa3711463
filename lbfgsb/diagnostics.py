"""Why a run ended as it did: a check of the gradient, and findings in plain words.

`check_gradient` compares a gradient with differences of f that know their own error.
`diagnose` reads a result, and what else there is, and says what it finds, with numbers.
`GradientWarning` is what a run gives whose values and slopes did not belong together.
"""

from lbfgsb._diagnose import Diagnosis, Finding, diagnose
from lbfgsb._endings import GradientWarning
from lbfgsb._gradient_check import GradientReport, check_gradient

__all__ = [
    "Diagnosis",
    "Finding",
    "GradientReport",
    "GradientWarning",
    "check_gradient",
    "diagnose",
]
