"""``strongroom demo``: the main job from end to end, on a real OpenBao, with nothing taken on trust."""
