"""What `hone chat` says in English, by the same keys as the other catalog's."""

TALK = {
    "talk.text_bundle": "This bundle was taught by texts, not by conversations: each line is a prompt by itself.",
    "talk.welcome": "/help names the commands; Ctrl-D ends.",
    "talk.stopped": "Stopped; the question is forgotten.",
    "talk.nothing": "Nothing was answered; the question is forgotten.",
    "talk.left_out": "The oldest turns no longer fit, and are left out: the model reads {room} tokens.",
    "talk.is_cut": "It is cut: the model reads {room} tokens.",
    "talk.forgotten": "What was said is forgotten.",
    "talk.no_system": "There is no system text.",
    "talk.no_controls": "There are none.",
    "talk.written": "Written to {file}.",
    "talk./reset": "forget what was said",
    "talk./system": "begin anew with a system text: /system TEXT; alone: show it",
    "talk./control": "go by an attribute, or by keywords: /control KEY=VALUE; alone: show all",
    "talk./save": "write the conversation as a row of training data: /save FILE",
    "talk./help": "these commands",
    "talk./exit": "end; so does Ctrl-D",
}
