"""What each dashboard shows."""

from infra.monitoring.panels.drift import DRIFT
from infra.monitoring.panels.feedback import FEEDBACK
from infra.monitoring.panels.infrastructure import INFRASTRUCTURE
from infra.monitoring.panels.model import MODEL
from infra.monitoring.panels.service import SERVICE

ALL = (SERVICE, MODEL, DRIFT, INFRASTRUCTURE, FEEDBACK)
