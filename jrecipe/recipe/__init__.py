"""The recipe: every check on a task, and the stages in order, each gated."""

from jrecipe.recipe.checked import check
from jrecipe.recipe.checked_fit import check_fit
from jrecipe.recipe.cooked import Dinner, cook
from jrecipe.recipe.dish import PlannedDish, TaskDish, dish_of
from jrecipe.recipe.plan import Plan, build_model, build_task, plan_from_json, suggest_plan
from jrecipe.recipe.tuning import PlannedTasks, planned_space

__all__ = [
    "Dinner",
    "Plan",
    "PlannedDish",
    "PlannedTasks",
    "TaskDish",
    "build_model",
    "build_task",
    "check",
    "check_fit",
    "cook",
    "dish_of",
    "plan_from_json",
    "planned_space",
    "suggest_plan",
]
