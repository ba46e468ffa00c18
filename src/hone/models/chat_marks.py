"""The marks by which hone writes who speaks, and the chat templates that say the same to other programs."""

from __future__ import annotations

ROLES = ("system", "user", "assistant")
ROLE_TOKENS = {role: f"<|{role}|>" for role in ROLES}  # of tokenizers that are learned here
PLAIN_MARKS = {role: f"{role.capitalize()}:\n" for role in ROLES}  # of any other one


def _template(mark: str, *, last: str) -> str:
    turn = f"{{{{ {mark} + message['content'] + eos_token }}}}"
    return (
        "{{ bos_token or '' }}"
        f"{{% for message in messages %}}{turn}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {last!r} }}}}{{% endif %}}"
    )


ROLE_TEMPLATE = _template("'<|' + message['role'] + '|>'", last=ROLE_TOKENS["assistant"])
PLAIN_TEMPLATE = _template("message['role'].capitalize() + ':\\n'", last=PLAIN_MARKS["assistant"])
TEMPLATES = (ROLE_TEMPLATE, PLAIN_TEMPLATE)
