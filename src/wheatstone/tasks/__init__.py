"""Tasks: prompts with their counterfactuals and answers, split for proof, as tokens, and what is measured on them."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.records import SPLITS as SPLITS
    from wheatstone.records import Problem as Problem
    from wheatstone.tasks._batches import length_batches as length_batches
    from wheatstone.tasks._bundled import Relations as Relations
    from wheatstone.tasks._bundled import bundled_tasks as bundled_tasks
    from wheatstone.tasks._bundled import relations_in as relations_in
    from wheatstone.tasks._counterfactuals import Fact as Fact
    from wheatstone.tasks._counterfactuals import with_counterfactuals as with_counterfactuals
    from wheatstone.tasks._derived import PHRASES as PHRASES
    from wheatstone.tasks._encode import Encoded as Encoded
    from wheatstone.tasks._encode import encode as encode
    from wheatstone.tasks._encode import encodes as encodes
    from wheatstone.tasks._facts import Facts as Facts
    from wheatstone.tasks._files import files_of as files_of
    from wheatstone.tasks._files import missing_file as missing_file
    from wheatstone.tasks._files import sha256_of_task as sha256_of_task
    from wheatstone.tasks._files import task_now as task_now
    from wheatstone.tasks._known import KNOWN_RANK as KNOWN_RANK
    from wheatstone.tasks._known import Answered as Answered
    from wheatstone.tasks._known import answered as answered
    from wheatstone.tasks._load import check_task as check_task
    from wheatstone.tasks._load import load_facts as load_facts
    from wheatstone.tasks._load import load_task as load_task
    from wheatstone.tasks._metrics import METRICS as METRICS
    from wheatstone.tasks._metrics import Metric as Metric
    from wheatstone.tasks._metrics import Targets as Targets
    from wheatstone.tasks._metrics import gather as gather
    from wheatstone.tasks._metrics import metric_named as metric_named
    from wheatstone.tasks._model_answer import ModelAnswer as ModelAnswer
    from wheatstone.tasks._model_answer import ScoredToken as ScoredToken
    from wheatstone.tasks._model_answer import model_answer as model_answer
    from wheatstone.tasks._model_answers import ANSWER_RULE as ANSWER_RULE
    from wheatstone.tasks._model_answers import ModelAnswers as ModelAnswers
    from wheatstone.tasks._model_answers import answers_in as answers_in
    from wheatstone.tasks._model_answers import model_answers as model_answers
    from wheatstone.tasks._model_answers import weak_change as weak_change
    from wheatstone.tasks._numbers import chance as chance
    from wheatstone.tasks._numbers import ordinal as ordinal
    from wheatstone.tasks._pair import PromptPair as PromptPair
    from wheatstone.tasks._ranks import answer_ranks as answer_ranks
    from wheatstone.tasks._ranks import hits as hits
    from wheatstone.tasks._records import read_pairs as read_pairs
    from wheatstone.tasks._relation import Relation as Relation
    from wheatstone.tasks._relation import bundled_relation as bundled_relation
    from wheatstone.tasks._relation import bundled_relations as bundled_relations
    from wheatstone.tasks._relation import relation_named as relation_named
    from wheatstone.tasks._several import counterfactuals_among as counterfactuals_among
    from wheatstone.tasks._several import mean_by_prompt as mean_by_prompt
    from wheatstone.tasks._several import several_counterfactuals as several_counterfactuals
    from wheatstone.tasks._source import About as About
    from wheatstone.tasks._spans import token_span as token_span
    from wheatstone.tasks._split import FRACTIONS as FRACTIONS
    from wheatstone.tasks._task import Known as Known
    from wheatstone.tasks._task import Task as Task
    from wheatstone.tasks._wordings import other_wordings as other_wordings

__getattr__ = door(__name__)
