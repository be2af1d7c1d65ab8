"""From a question to a run: a discovery and its plan, a study of relations, a sweep of prompts, an explanation."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.studies._additions import add_explanation as add_explanation
    from wheatstone.studies._additions import add_verification as add_verification
    from wheatstone.studies._discovery import DiscoveryRun as DiscoveryRun
    from wheatstone.studies._discovery import run_discovery as run_discovery
    from wheatstone.studies._discovery_folder import write_discovery as write_discovery
    from wheatstone.studies._explain import ExplainSettings as ExplainSettings
    from wheatstone.studies._explain import explain_run as explain_run
    from wheatstone.studies._held_out import SharePoint as SharePoint
    from wheatstone.studies._held_out import settings_for as settings_for
    from wheatstone.studies._held_out import splits_of as splits_of
    from wheatstone.studies._import import ImportedRun as ImportedRun
    from wheatstone.studies._import import run_import as run_import
    from wheatstone.studies._plan import Plan as Plan
    from wheatstone.studies._plan import plan_discovery as plan_discovery
    from wheatstone.studies._plan_time import expected_seconds as expected_seconds
    from wheatstone.studies._sections import SECTIONS as SECTIONS
    from wheatstone.studies._sections import sections_named as sections_named
    from wheatstone.studies._study import run_study as run_study
    from wheatstone.studies._study import study_so_far as study_so_far
    from wheatstone.studies._study_settings import StudySettings as StudySettings
    from wheatstone.studies._sweep import run_sweep as run_sweep
    from wheatstone.studies._sweep_pair import SweepSettings as SweepSettings

__getattr__ = door(__name__)
