"""Pictures and the report of a run, made from its folder alone: no model, no network."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.figures._bits import bits_page as bits_page
    from wheatstone.figures._bits import circuit_bits_page as circuit_bits_page
    from wheatstone.figures._card import card_page as card_page
    from wheatstone.figures._circuit_view import FIGURES as FIGURES
    from wheatstone.figures._edit_comparison import comparison_chart as comparison_chart
    from wheatstone.figures._edit_comparison import comparison_words as comparison_words
    from wheatstone.figures._edit_trace import trace_chart as trace_chart
    from wheatstone.figures._explain import claims_of as claims_of
    from wheatstone.figures._explain import render_explanation as render_explanation
    from wheatstone.figures._graph_words import graph_words as graph_words
    from wheatstone.figures._head_one import head_page as head_page
    from wheatstone.figures._head_one import write_head_pages as write_head_pages
    from wheatstone.figures._load import RunData as RunData
    from wheatstone.figures._neuron_one import neuron_page as neuron_page
    from wheatstone.figures._neuron_patching import NEURON_FIGURES as NEURON_FIGURES
    from wheatstone.figures._neuron_patching import ScreenData as ScreenData
    from wheatstone.figures._neuron_screen import found_neurons as found_neurons
    from wheatstone.figures._parts import PARTS as PARTS
    from wheatstone.figures._probes import PROBE_FIGURES as PROBE_FIGURES
    from wheatstone.figures._probes import ProbeData as ProbeData
    from wheatstone.figures._registry import VIEWS as VIEWS
    from wheatstone.figures._registry import figure_svg as figure_svg
    from wheatstone.figures._registry import render_all as render_all
    from wheatstone.figures._registry import render_figure as render_figure
    from wheatstone.figures._registry import report_html as report_html
    from wheatstone.figures._render import render as render
    from wheatstone.figures._study import STUDY_FIGURES as STUDY_FIGURES
    from wheatstone.figures._trace import trace_lines_chart as trace_lines_chart
    from wheatstone.figures._trace import trace_words as trace_words

__getattr__ = door(__name__)
