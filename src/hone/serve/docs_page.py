"""``/docs``: one self-contained page that says what the service answers and lets one try it; no foreign host."""

from __future__ import annotations

import html

from hone.predict.predictor import Predictor

STYLE = """
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.6 system-ui,"Noto Sans SC",sans-serif;max-width:46rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}
code,pre,textarea{font:14px/1.5 ui-monospace,monospace}
pre{border:1px solid var(--line);border-radius:8px;padding:.8rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}
textarea{width:100%;box-sizing:border-box;border:1px solid var(--line);border-radius:8px;padding:.6rem;min-height:5rem}
button{font:inherit;padding:.4rem 1.2rem;border-radius:8px;border:1px solid var(--line);cursor:pointer}
td{padding:.2rem .8rem .2rem 0;vertical-align:top}p{margin:.4rem 0}
.wrap{overflow-wrap:anywhere}
"""

SCRIPT = """
document.getElementById('send').onclick = async () => {
  const given = document.getElementById('inputs');
  const answer = document.getElementById('answer');
  let lines = given.value.split('\\n').filter(line => line.trim());
  try {
    if (given.dataset.objects) lines = lines.map(line => JSON.parse(line));
  } catch (error) {
    answer.textContent = error.message;
    return;
  }
  answer.textContent = '...';
  const response = await fetch('predict', {method: 'POST', headers: {'content-type': 'application/json'},
    body: JSON.stringify({inputs: lines})});
  answer.textContent = JSON.stringify(await response.json(), null, 1);
};
"""


def docs_page(predictor: Predictor, *, expected: str) -> str:
    """The page for a predictor's bundle; ``expected`` is what a request looks like."""
    task = predictor.task
    names = [field.name for field in predictor.input_choices[0]]
    objects = len(names) > 1
    how = f"One JSON object a line, with {html.escape(', '.join(names))}." if objects else "One text a line."
    labels = ", ".join(task.labels[:60]) + (" ..." if len(task.labels) > 60 else "")
    named = f", labels: {html.escape(labels)}" if labels else ""
    rows = [
        ("POST /predict", f"answers <code>{html.escape(expected)}</code>"),
        ("GET /livez", "the process answers"),
        ("GET /readyz", "the bundle is loaded and has answered once"),
        ("GET /metrics", "Prometheus metrics"),
        ("GET /openapi.json", "the schema"),
    ]
    table = "".join(f"<tr><td><code>{name}</code></td><td>{words}</td></tr>" for name, words in rows)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>hone service</title><style>{STYLE}</style></head><body>
<h1>hone service</h1>
<p>Task <b>{html.escape(task.name)}</b>{named}</p>
<p class="wrap">Bundle <code>{predictor.bundle.digest}</code></p>
<h2>What it answers</h2><table>{table}</table>
<h2>Try it</h2>
<p>{how}</p>
<textarea id="inputs" data-objects="{1 if objects else ""}" aria-label="{how}"></textarea>
<p><button id="send">Predict</button></p>
<pre id="answer" aria-live="polite">The answer appears here.</pre>
<script>{SCRIPT}</script></body></html>
"""
