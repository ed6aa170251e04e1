"""Properties whose examples are whole runs, so that each costs much: a fourth of the examples of other properties."""

import hypothesis

few_examples = hypothesis.settings(max_examples=hypothesis.settings.default.max_examples // 4)
