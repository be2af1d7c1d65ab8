"""Results as folders of open formats, written whole or not at all, and the catalogue that lists them.

The shelf that every subject puts its runs on: it knows no model and imports no torch.
"""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.runs._archive import export_run as export_run
    from wheatstone.runs._archive import import_run as import_run
    from wheatstone.runs._catalogue import CatalogueEntry as CatalogueEntry
    from wheatstone.runs._catalogue import catalogue_add as catalogue_add
    from wheatstone.runs._catalogue import catalogue_entries as catalogue_entries
    from wheatstone.runs._catalogue import catalogue_remove as catalogue_remove
    from wheatstone.runs._catalogue import catalogue_size as catalogue_size
    from wheatstone.runs._catalogue import entry_of as entry_of
    from wheatstone.runs._catalogue import unlisted_runs as unlisted_runs
    from wheatstone.runs._columns import Row as Row
    from wheatstone.runs._contents import CIRCUITS as CIRCUITS
    from wheatstone.runs._contents import CONTENTS as CONTENTS
    from wheatstone.runs._contents import Contents as Contents
    from wheatstone.runs._contents import command_of as command_of
    from wheatstone.runs._folder import FORMAT as FORMAT
    from wheatstone.runs._folder import add_file as add_file
    from wheatstone.runs._folder import add_text as add_text
    from wheatstone.runs._folder import changed_run as changed_run
    from wheatstone.runs._folder import check_free as check_free
    from wheatstone.runs._folder import clear_partial as clear_partial
    from wheatstone.runs._folder import damaged_files as damaged_files
    from wheatstone.runs._folder import new_part as new_part
    from wheatstone.runs._folder import new_run as new_run
    from wheatstone.runs._folder import part_reserved as part_reserved
    from wheatstone.runs._folder import read_json as read_json
    from wheatstone.runs._folder import read_manifest as read_manifest
    from wheatstone.runs._folder import reserved as reserved
    from wheatstone.runs._folder import write_hashes as write_hashes
    from wheatstone.runs._folder import write_json as write_json
    from wheatstone.runs._missing import draw as draw
    from wheatstone.runs._missing import note_missing as note_missing
    from wheatstone.runs._remove import Prunable as Prunable
    from wheatstone.runs._remove import delete_run as delete_run
    from wheatstone.runs._remove import prunable as prunable
    from wheatstone.runs._remove import prune as prune
    from wheatstone.runs._run import Run as Run
    from wheatstone.runs._save import add_pictures as add_pictures
    from wheatstone.runs._save import listed as listed
    from wheatstone.runs._save import save_run as save_run
    from wheatstone.runs._section import Section as Section
    from wheatstone.runs._sound import sound as sound
    from wheatstone.runs._summary import Summary as Summary
    from wheatstone.runs._summary import summary_json as summary_json
    from wheatstone.runs._summary import summary_of as summary_of
    from wheatstone.runs._tables import Table as Table
    from wheatstone.runs._tables import write_table as write_table

__getattr__ = door(__name__)
