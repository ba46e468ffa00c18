"""``/docs``: one self-contained page that says what the service answers and lets one try it; no foreign host."""

from __future__ import annotations

import html
from collections.abc import Mapping

from hone.data.fields import required
from hone.predict.predictor import Predictor
from hone.serve.limits import MAX_DECODING, MAX_HELD
from hone.serve.streams import MAX_STREAMS
from hone.tasks.protocol import LABELED, Writing

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

SCRIPT = r"""
const path = document.getElementById('path');
const chosen = () => path.options[path.selectedIndex];
const show = () => {
  document.getElementById('how').textContent = chosen().dataset.how;
  for (const one of document.querySelectorAll('.writes')) one.hidden = !chosen().dataset.writes;
};
path.onchange = show;
show();
const pieces = async (response, answer) => {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  answer.textContent = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const one of events) {
      const told = JSON.parse(one.slice(one.indexOf('data: ') + 6));
      answer.textContent += one.startsWith('event: piece') ? told.text : '\n\n' + JSON.stringify(told, null, 1);
    }
  }
};
const send = async stream => {
  const given = document.getElementById('inputs');
  const answer = document.getElementById('answer');
  let asked = {};
  let lines = given.value.split('\n').filter(line => line.trim());
  try {
    if (chosen().dataset.objects) lines = lines.map(line => JSON.parse(line));
    const decoding = document.getElementById('decoding').value.trim();
    if (chosen().dataset.writes && decoding) asked.decoding = JSON.parse(decoding);
  } catch (error) {
    answer.textContent = error.message;
    return;
  }
  answer.textContent = '...';
  if (stream) { asked.stream = true; lines = lines.slice(0, 1); }
  const response = await fetch(path.value, {method: 'POST', headers: {'content-type': 'application/json'},
    body: JSON.stringify({inputs: lines, ...asked})});
  if (stream && response.ok) await pieces(response, answer);
  else answer.textContent = JSON.stringify(await response.json(), null, 1);
};
document.getElementById('send').onclick = () => send(false);
document.getElementById('stream').onclick = () => send(true);
"""

WRITING = f"""<h2>How texts are written</h2>
<p><code>"decoding": {{"max_new_tokens": 40, "do_sample": true, "temperature": 0.7}}</code> beside <code>inputs</code>
replaces settings of the bundle for one request. A request may have {
    ", ".join(f"{name} up to {most:,}" for name, most in MAX_DECODING.items())
}, or what the bundle itself has,
and {MAX_HELD:,} tokens held at once for an input: it and what is written, in each text, beam or compared token.
Settings that cannot be used are answered by 422, with all that is wrong with them.</p>
<p><code>"stream": true</code> answers one input by server-sent events while the text is written: <code>event: piece</code>
with <code>{{"text"}}</code>, together the text; then <code>event: prediction</code> with
<code>{{"prediction", "bundle"}}</code>, the same as without a stream; or <code>event: error</code> with
<code>{{"code", "message"}}</code>. Nothing is written any more once the client has gone. There are {
    MAX_STREAMS
} streams at
most; another one is answered by 429.</p>
<pre>curl -N -H 'content-type: application/json' -d '{{"inputs": "...", "stream": true}}' http://.../predict</pre>
"""


def docs_page(routes: Mapping[str, Predictor], *, expected: Mapping[str, str]) -> str:
    """The page for the predictors at these paths; ``expected`` is what a request to each looks like."""
    rows = [
        *((f"POST {path}", f"answers <code>{html.escape(expected[path])}</code>") for path in routes),
        ("GET /livez", "the process answers"),
        ("GET /readyz", "every bundle is loaded and has answered once"),
        ("GET /metrics", "Prometheus metrics"),
        ("GET /openapi.json", "the schema"),
    ]
    table = "".join(f"<tr><td><code>{name}</code></td><td>{words}</td></tr>" for name, words in rows)
    served = "".join(_about(path, predictor, alone=len(routes) == 1) for path, predictor in routes.items())
    lines = {path: _line(predictor) for path, predictor in routes.items()}
    options = "".join(
        f'<option value="{path[1:]}" data-objects="{1 if objects else ""}" data-how="{how}"'
        f' data-writes="{1 if isinstance(routes[path].task, Writing) else ""}">{path}</option>'
        for path, (how, objects) in lines.items()
    )
    how = next(iter(lines.values()))[0]
    writing = WRITING if any(isinstance(predictor.task, Writing) for predictor in routes.values()) else ""
    hidden = " hidden" if len(routes) == 1 else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>hone service</title><style>{STYLE}</style></head><body>
<h1>hone service</h1>
{served}<h2>What it answers</h2><table>{table}</table>
{writing}<h2>Try it</h2>
<p{hidden}><select id="path" aria-label="which bundle">{options}</select></p>
<p id="how">{how}</p>
<textarea id="inputs" aria-labelledby="how"></textarea>
<p class="writes" hidden><label for="decoding">Settings of decoding, a JSON object; those left out are the bundle's.</label>
<textarea id="decoding" placeholder='{{"max_new_tokens": 40}}'></textarea></p>
<p><button id="send">Predict</button> <button id="stream" class="writes" hidden>Write the first in pieces</button></p>
<pre id="answer" aria-live="polite">The answer appears here.</pre>
<script>{SCRIPT}</script></body></html>
"""


def _about(path: str, predictor: Predictor, *, alone: bool) -> str:
    task = predictor.task
    answers = task.labels if task.says in LABELED else ()
    labels = ", ".join(answers[:60]) + (" ..." if len(answers) > 60 else "")
    named = f", labels: {html.escape(labels)}" if labels else ""
    title = "" if alone else f"<h2>{html.escape(path)}</h2>\n"
    return (
        f"{title}<p>Task <b>{html.escape(task.name)}</b>{named}</p>\n"
        f'<p class="wrap">Bundle <code>{predictor.bundle.digest}</code></p>\n'
    )


def _line(predictor: Predictor) -> tuple[str, bool]:
    """What a line of the form holds, and whether that is an object."""
    names = required(predictor.input_choices[0])
    if len(names) > 1 or predictor.input_choices[0][0].kind == "turns":
        return f"One JSON object a line, with {html.escape(', '.join(names))}.", True
    return "One text a line.", False
