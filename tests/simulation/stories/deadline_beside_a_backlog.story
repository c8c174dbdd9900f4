world seed=1 max_trajectories=64 max_resident=128 queue_share=1 high_share=1 ageing=1h patience=0
model micro_batch=3 capacity=3 step=25ms
request count=40 steps=8
request at=290ms steps=5 deadline=180ms
