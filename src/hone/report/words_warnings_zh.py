"""警告、应对办法以及指标没有数值的原因的中文词语；与 `hone.report.words_warnings_en` 的键相同。"""

from __future__ import annotations

WORDS: dict[str, str] = {
    "warn.leaked": "{other}中有 {count} 行也出现在{one}中，在{other}上的得分会偏高。可用 data: {{drop: [leaked]}} 将其从训练集中去掉。",
    "warn.contradictions": "有 {count} 条输入带有互相矛盾的标签，每条至少有一个标注是错的。",
    "warn.empty": "{split}中有 {count} 条空文本。",
    "warn.illegal_bio": "{split}中有 {count} 个不合法的 BIO 标签（首个为第 {line} 行的 {tag}，前面没有可接续的实体）；均按实体开头处理。",
    "warn.long": "{split}中有 {share} 的文本超过 {limit} 个 token，在 long_text: truncate 下会被截断。{advice}",
    "warn.long_turns": "{split}中有 {share} 的对话超过 {limit} 个 token：其回答分到多行学习，行前最早的轮次被略去。",
    "warn.cut_targets": "{split}中有 {share} 的待写文本（{count} 段）在 long_target: truncate 下被截断，学不到结尾。可在基座允许的范围内调高 max_target_length。",
    "warn.lost": "{split}中没有任何一行能完整容纳的实体：{count} 个。它们的首尾落在某个 token 之内，或超出一个窗口读取的范围；训练看不到它们，也无法被找出。",
    "warn.unknown": "基座模型 {base} 不认识这种语言：不认识的 token 占 {shares}。请换用在该语言上训练过的基座。",
    "warn.unknown_pieces": "学得的分词器（{kind}，至多 {size} 个 token）不认识的 token 占 {shares}。可调高 vocab_size、调低 min_frequency，或换用 kind: bpe：对它没有未知的文本。",
    "warn.cut_measured": "{count} 段待写文本中有 {some} 段超过 max_target_length：困惑度只算其开头，按词或字节计的指标不含它们。可在基座允许的范围内调高该值。",
    "warn.no_places": "{count} 条文本中有 {some} 条的掩码都在截断处之后：它们未计入任何指标。",
    "warn.cut": "{count} 条文本中有 {cut} 条在模型读取前被截断。{advice}",
    "warn.cut_turns": "有 {cut}/{count} 段对话的回答之前略去了最早的轮次。可在基座允许的范围内调高 max_length。",
    "warn.single_labels": "有 {count} 条训练文本是其标签下唯一的一条：只会学到与其他文本不同，而没有相近的文本可学。",
    "warn.no_law": "大小不同的部分太少，无法拟合规律：至少需要三个。",
    "warn.no_law_of": "未拟合规律：{measure}既不是损失，也不是某个整体的一部分，无从得知更多数据最多能带来多少。",
    "warn.forgotten": "文本 {part} 在训练后变差了：把一部分同类文本作为有 share 的来源混入语料。",
    "warn.begun": "用来度量留出文本的头是新建的：它在训练前的数值与基座无关，变好也不说明没有遗忘。探针（probes）能显示基座所含的内容。",
    "warn.probes_cut": "探针文本中长于一行上限、被截断的：{count}。",
    "warn.left_out": "{split}中有 {count} 个标签不在计入之列，共出现 {total} 次，已略去。",
    "warn.undecided": "新模型包不带决策：原模型的决策（例如阈值）是按另一组得分拟合的，而没有验证集就无法按新模型自己的得分重新拟合。请在 data 中给出 validation。",
    "warn.unreadable": "语料中有 {count} 处（文件、行或记录）无法读取，已略去。第一处：{first}",
    "warn.held_out_unreadable": "留出文本中有 {count} 处（文件、行或记录）无法读取，已略去。第一处：{first}",
    "warn.like_unreadable": "为来源 {source} 挑选文档所参照的文本中有 {count} 处（文件、行或记录）无法读取，已略去。第一处：{first}",
    "advice.raise": "可在基座允许的范围内调高 max_length。",
    "advice.whole_base": "基座一次读不了更多：请缩短文本，或换用能读更长文本的基座。",
    "advice.window": "也可将 long_text 设为 window，即可全部读到。",
    # reasons, as reports hold them
    "there is nothing to score in this part of the data": "这部分数据中没有可评分的内容",
    "there is no word": "没有词",
    "one of the two has nothing to score": "两者之一没有可评分的内容",
}
