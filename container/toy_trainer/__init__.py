"""The rehearsal's trainer: a small GPT in nanochat's stages, flags, log lines and file layout.

It stands where nanochat stands on a paid machine, so that everything around it is used for real.
Programs are run as `python -m container.toy_trainer.<name>`: dataset, tok_train, base_train,
base_eval, chat_sft, chat_eval, report, chat_web. They run on Debian 12's Python 3.11 and
python3-torch 1.13.1, on the CPU. Everything but this module, `layout`, `loglines`, `documents`,
`dataset` and `report` needs torch or the tokenizer libraries, which only the image has.
"""
