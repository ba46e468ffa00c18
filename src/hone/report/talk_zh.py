"""What `hone chat` says in Chinese, by the same keys as the other catalog's."""

TALK = {
    "talk.text_bundle": "此模型包由文本而非对话教成：每行都是一个独立的提示。",
    "talk.welcome": "/help 列出命令；Ctrl-D 结束。",
    "talk.stopped": "已停止；这个问题不再记住。",
    "talk.nothing": "没有回答；这个问题不再记住。",
    "talk.left_out": "最早的轮次已放不下，被略去：模型最多读 {room} 个 token。",
    "talk.is_cut": "文本被截断：模型最多读 {room} 个 token。",
    "talk.forgotten": "之前的对话已忘记。",
    "talk.no_system": "没有系统文本。",
    "talk.no_controls": "没有。",
    "talk.written": "已写入 {file}。",
    "talk./reset": "忘记之前的对话",
    "talk./system": "以系统文本重新开始：/system 文本；单独使用：显示它",
    "talk./control": "按属性或关键词作答：/control 名称=值；单独使用：显示全部",
    "talk./save": "把对话写成一行训练数据：/save 文件",
    "talk./help": "列出这些命令",
    "talk./exit": "结束；Ctrl-D 也可以",
}
