# "an idle machine takes near deadlines": each row of the third request, which is alone and takes
# 300 ms, was held to take as long as a batch of eight, of which the first request's were.
world seed=1 devices=1 max_trajectories=64 max_resident=64 queue_share=1 high_share=1
model micro_batch=1 capacity=8 step=2ms pass=1ms
request at=0 count=8 steps=20
request at=1s steps=20
request at=2s steps=100 deadline=600ms
