"""Oracles of bottom-up decoding with part affinity fields: two published decoders, by stages.

``openpose`` up-samples first, sorts all candidate links of all limbs, and assembles people from the
best link down; ``trt_pose`` stays on the network's maps and matches each limb on its own. Both are
written from what those projects publish about their decoders, quirks included, because a library
that claims to follow a decoder has to be compared with what that decoder really does.

Maps are [K, H, W] and fields [2 L, H, W]. ``limbs`` [L, 2] names the two parts of a limb, and
``channels`` [L, 2] the field's x channel and y channel for it. Places that leave a decoder are in
pixels of its input maps, whose centres are whole numbers.
"""
