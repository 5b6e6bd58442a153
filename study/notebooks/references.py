"""References: the works that docstrings and notebooks cite."""

import re

# "Vaswani et al. 2017", "Hendrycks and Gimpel 2016", "Gage 1994".
CITATION = re.compile(
    r"[A-Z][A-Za-z]+(?: et al\.| and [A-Z][A-Za-z]+)?,? \d{4}"
)

REFERENCES = {
    "Wharton 1908": (
        "Wharton, E. (1908). *The Verdict*. Scribner's Magazine. In the "
        "public domain."
    ),
    "Torgerson 1952": (
        "Torgerson, W. S. (1952). Multidimensional Scaling: I. Theory and "
        "Method. Psychometrika 17(4)."
    ),
    "Charnes and Cooper 1962": (
        "Charnes, A., Cooper, W. W. (1962). Programming with Linear "
        "Fractional Functionals. Naval Research Logistics Quarterly 9."
    ),
    "Abramowitz and Stegun 1964": (
        "Abramowitz, M., Stegun, I. A. (1964). Handbook of Mathematical "
        "Functions with Formulas, Graphs, and Mathematical Tables. "
        "National Bureau of Standards."
    ),
    "Azuma 1967": (
        "Azuma, K. (1967). Weighted Sums of Certain Dependent Random "
        "Variables. Tohoku Mathematical Journal 19(3)."
    ),
    "Lin 1991": (
        "Lin, J. (1991). Divergence measures based on the Shannon entropy. "
        "IEEE Transactions on Information Theory 37(1)."
    ),
    "Gage 1994": (
        "Gage, P. (1994). A New Algorithm for Data Compression. The C "
        "Users Journal 12(2)."
    ),
    "Figueroa 1995": (
        "Figueroa, S. A. (1995). When is Double Rounding Innocuous? ACM "
        "SIGNUM Newsletter 30(3)."
    ),
    "Squire and Trapp 1998": (
        "Squire, W., Trapp, G. (1998). Using Complex Variables to "
        "Estimate Derivatives of Real Functions. SIAM Review 40(1)."
    ),
    "Higham 2002": (
        "Higham, N. J. (2002). Accuracy and Stability of Numerical "
        "Algorithms. Second edition. SIAM."
    ),
    "Bengio et al. 2003": (
        "Bengio, Y., Ducharme, R., Vincent, P., Jauvin, C. (2003). A "
        "Neural Probabilistic Language Model. Journal of Machine Learning "
        "Research 3."
    ),
    "Glorot and Bengio 2010": (
        "Glorot, X., Bengio, Y. (2010). Understanding the Difficulty of "
        "Training Deep Feedforward Neural Networks. AISTATS 2010."
    ),
    "Nair and Hinton 2010": (
        "Nair, V., Hinton, G. E. (2010). Rectified Linear Units Improve "
        "Restricted Boltzmann Machines. ICML 2010."
    ),
    "Pascanu et al. 2013": (
        "Pascanu, R., Mikolov, T., Bengio, Y. (2013). On the Difficulty "
        "of Training Recurrent Neural Networks. ICML 2013. "
        "arXiv:1211.5063."
    ),
    "Bahdanau et al. 2014": (
        "Bahdanau, D., Cho, K., Bengio, Y. (2014). Neural Machine "
        "Translation by Jointly Learning to Align and Translate. "
        "arXiv:1409.0473."
    ),
    "Srivastava et al. 2014": (
        "Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I., "
        "Salakhutdinov, R. (2014). Dropout: A Simple Way to Prevent Neural "
        "Networks from Overfitting. Journal of Machine Learning Research "
        "15."
    ),
    "Hinton et al. 2015": (
        "Hinton, G., Vinyals, O., Dean, J. (2015). Distilling the "
        "Knowledge in a Neural Network. arXiv:1503.02531."
    ),
    "Kingma and Ba 2015": (
        "Kingma, D. P., Ba, J. (2015). Adam: A Method for Stochastic "
        "Optimization. ICLR 2015. arXiv:1412.6980."
    ),
    "Ba et al. 2016": (
        "Ba, J. L., Kiros, J. R., Hinton, G. E. (2016). Layer "
        "Normalization. arXiv:1607.06450."
    ),
    "Hendrycks and Gimpel 2016": (
        "Hendrycks, D., Gimpel, K. (2016). Gaussian Error Linear Units "
        "(GELUs). arXiv:1606.08415."
    ),
    "Szegedy et al. 2016": (
        "Szegedy, C., Vanhoucke, V., Ioffe, S., Shlens, J., Wojna, Z. "
        "(2016). Rethinking the Inception Architecture for Computer "
        "Vision. CVPR 2016. arXiv:1512.00567."
    ),
    "Sennrich et al. 2016": (
        "Sennrich, R., Haddow, B., Birch, A. (2016). Neural Machine "
        "Translation of Rare Words with Subword Units. ACL 2016. "
        "arXiv:1508.07909."
    ),
    "Wu et al. 2016": (
        "Wu, Y., Schuster, M., Chen, Z., and others (2016). Google's "
        "Neural Machine Translation System: Bridging the Gap between Human "
        "and Machine Translation. arXiv:1609.08144."
    ),
    "Chen et al. 2016": (
        "Chen, T., Xu, B., Zhang, C., Guestrin, C. (2016). Training Deep "
        "Nets with Sublinear Memory Cost. arXiv:1604.06174."
    ),
    "He et al. 2016": (
        "He, K., Zhang, X., Ren, S., Sun, J. (2016). Deep Residual "
        "Learning for Image Recognition. CVPR 2016. arXiv:1512.03385."
    ),
    "Ghader and Monz 2017": (
        "Ghader, H., Monz, C. (2017). What does Attention in Neural "
        "Machine Translation Pay Attention to? IJCNLP 2017. "
        "arXiv:1710.03348."
    ),
    "Gehring et al. 2017": (
        "Gehring, J., Auli, M., Grangier, D., Yarats, D., Dauphin, Y. N. "
        "(2017). Convolutional Sequence to Sequence Learning. ICML 2017. "
        "arXiv:1705.03122."
    ),
    "Press and Wolf 2017": (
        "Press, O., Wolf, L. (2017). Using the Output Embedding to Improve "
        "Language Models. EACL 2017. arXiv:1608.05859."
    ),
    "Vaswani et al. 2017": (
        "Vaswani, A., Shazeer, N., Parmar, N., Uszkoreit, J., Jones, L., "
        "Gomez, A. N., Kaiser, Ł., Polosukhin, I. (2017). Attention Is All "
        "You Need. NIPS 2017. arXiv:1706.03762."
    ),
    "Loshchilov and Hutter 2017": (
        "Loshchilov, I., Hutter, F. (2017). SGDR: Stochastic Gradient "
        "Descent with Warm Restarts. ICLR 2017. arXiv:1608.03983."
    ),
    "Ramachandran et al. 2017": (
        "Ramachandran, P., Zoph, B., Le, Q. V. (2017). Searching for "
        "Activation Functions. arXiv:1710.05941."
    ),
    "Micikevicius et al. 2018": (
        "Micikevicius, P., Narang, S., Alben, J., Diamos, G., Elsen, E., "
        "et al. (2018). Mixed Precision Training. ICLR 2018."
    ),
    "Radford et al. 2018": (
        "Radford, A., Narasimhan, K., Salimans, T., Sutskever, I. (2018). "
        "Improving Language Understanding by Generative Pre-Training. "
        "OpenAI."
    ),
    "Fan et al. 2018": (
        "Fan, A., Lewis, M., Dauphin, Y. (2018). Hierarchical Neural "
        "Story Generation. ACL 2018. arXiv:1805.04833."
    ),
    "Milakov and Gimelshein 2018": (
        "Milakov, M., Gimelshein, N. (2018). Online Normalizer "
        "Calculation for Softmax. arXiv:1805.02867."
    ),
    "Elfwing et al. 2018": (
        "Elfwing, S., Uchibe, E., Doya, K. (2018). Sigmoid-Weighted "
        "Linear Units for Neural Network Function Approximation in "
        "Reinforcement Learning. Neural Networks 107. arXiv:1702.03118."
    ),
    "Clark et al. 2019": (
        "Clark, K., Khandelwal, U., Levy, O., Manning, C. D. (2019). What "
        "Does BERT Look At? An Analysis of BERT's Attention. BlackboxNLP "
        "2019. arXiv:1906.04341."
    ),
    "Devlin et al. 2019": (
        "Devlin, J., Chang, M.-W., Lee, K., Toutanova, K. (2019). BERT: "
        "Pre-training of Deep Bidirectional Transformers for Language "
        "Understanding. NAACL 2019. arXiv:1810.04805."
    ),
    "Jain and Wallace 2019": (
        "Jain, S., Wallace, B. C. (2019). Attention is not Explanation. "
        "NAACL 2019. arXiv:1902.10186."
    ),
    "Michel et al. 2019": (
        "Michel, P., Levy, O., Neubig, G. (2019). Are Sixteen Heads Really "
        "Better than One? NeurIPS 2019. arXiv:1905.10650."
    ),
    "Radford et al. 2019": (
        "Radford, A., Wu, J., Child, R., Luan, D., Amodei, D., Sutskever, "
        "I. (2019). Language Models are Unsupervised Multitask Learners. "
        "OpenAI."
    ),
    "Reimers and Gurevych 2019": (
        "Reimers, N., Gurevych, I. (2019). Sentence-BERT: Sentence "
        "Embeddings using Siamese BERT-Networks. EMNLP 2019. "
        "arXiv:1908.10084."
    ),
    "Vig 2019": (
        "Vig, J. (2019). A Multiscale Visualization of Attention in the "
        "Transformer Model. ACL 2019, System Demonstrations. "
        "arXiv:1906.05714."
    ),
    "Vig and Belinkov 2019": (
        "Vig, J., Belinkov, Y. (2019). Analyzing the Structure of "
        "Attention in a Transformer Language Model. BlackboxNLP 2019. "
        "arXiv:1906.04284."
    ),
    "Voita et al. 2019": (
        "Voita, E., Talbot, D., Moiseev, F., Sennrich, R., Titov, I. "
        "(2019). Analyzing Multi-Head Self-Attention: Specialized Heads Do "
        "the Heavy Lifting, the Rest Can Be Pruned. ACL 2019. "
        "arXiv:1905.09418."
    ),
    "Wiegreffe and Pinter 2019": (
        "Wiegreffe, S., Pinter, Y. (2019). Attention is not not "
        "Explanation. EMNLP 2019. arXiv:1908.04626."
    ),
    "Liu et al. 2019": (
        "Liu, Y., Ott, M., Goyal, N., Du, J., Joshi, M., Chen, D., Levy, "
        "O., Lewis, M., Zettlemoyer, L., Stoyanov, V. (2019). RoBERTa: A "
        "Robustly Optimized BERT Pretraining Approach. arXiv:1907.11692."
    ),
    "Loshchilov and Hutter 2019": (
        "Loshchilov, I., Hutter, F. (2019). Decoupled Weight Decay "
        "Regularization. ICLR 2019. arXiv:1711.05101."
    ),
    "Sanh et al. 2019": (
        "Sanh, V., Debut, L., Chaumond, J., Wolf, T. (2019). DistilBERT, "
        "a Distilled Version of BERT: Smaller, Faster, Cheaper and "
        "Lighter. arXiv:1910.01108."
    ),
    "Zhang and Sennrich 2019": (
        "Zhang, B., Sennrich, R. (2019). Root Mean Square Layer "
        "Normalization. NeurIPS 2019. arXiv:1910.07467."
    ),
    "Shazeer 2019": (
        "Shazeer, N. (2019). Fast Transformer Decoding: One Write-Head "
        "is All You Need. arXiv:1911.02150."
    ),
    "Keskar et al. 2019": (
        "Keskar, N. S., McCann, B., Varshney, L. R., Xiong, C., Socher, "
        "R. (2019). CTRL: A Conditional Transformer Language Model for "
        "Controllable Generation. arXiv:1909.05858."
    ),
    "Shoeybi et al. 2019": (
        "Shoeybi, M., Patwary, M., Puri, R., LeGresley, P., Casper, J., "
        "Catanzaro, B. (2019). Megatron-LM: Training Multi-Billion "
        "Parameter Language Models Using Model Parallelism. "
        "arXiv:1909.08053."
    ),
    "Abnar and Zuidema 2020": (
        "Abnar, S., Zuidema, W. (2020). Quantifying Attention Flow in "
        "Transformers. ACL 2020. arXiv:2005.00928."
    ),
    "Brunner et al. 2020": (
        "Brunner, G., Liu, Y., Pascual, D., Richter, O., Ciaramita, M., "
        "Wattenhofer, R. (2020). On Identifiability in Transformers. ICLR "
        "2020. arXiv:1908.04211."
    ),
    "Kobayashi et al. 2020": (
        "Kobayashi, G., Kuribayashi, T., Yokoi, S., Inui, K. (2020). "
        "Attention is Not Only a Weight: Analyzing Transformers with "
        "Vector Norms. EMNLP 2020. arXiv:2004.10102."
    ),
    "Xiong et al. 2020": (
        "Xiong, R., Yang, Y., He, D., Zheng, K., Zheng, S., Xing, C., "
        "Zhang, H., Lan, Y., Wang, L., Liu, T.-Y. (2020). On Layer "
        "Normalization in the Transformer Architecture. ICML 2020. "
        "arXiv:2002.04745."
    ),
    "Wang et al. 2020": (
        "Wang, W., Wei, F., Dong, L., Bao, H., Yang, N., Zhou, M. (2020). "
        "MiniLM: Deep Self-Attention Distillation for Task-Agnostic "
        "Compression of Pre-Trained Transformers. NeurIPS 2020. "
        "arXiv:2002.10957."
    ),
    "Holtzman et al. 2020": (
        "Holtzman, A., Buys, J., Du, L., Forbes, M., Choi, Y. (2020). The "
        "Curious Case of Neural Text Degeneration. ICLR 2020. "
        "arXiv:1904.09751."
    ),
    "Lan et al. 2020": (
        "Lan, Z., Chen, M., Goodman, S., Gimpel, K., Sharma, P., Soricut, "
        "R. (2020). ALBERT: A Lite BERT for Self-supervised Learning of "
        "Language Representations. ICLR 2020. arXiv:1909.11942."
    ),
    "Raffel et al. 2020": (
        "Raffel, C., Shazeer, N., Roberts, A., et al. (2020). Exploring "
        "the Limits of Transfer Learning with a Unified Text-to-Text "
        "Transformer. Journal of Machine Learning Research 21(140). "
        "arXiv:1910.10683."
    ),
    "Beltagy et al. 2020": (
        "Beltagy, I., Peters, M. E., Cohan, A. (2020). Longformer: The "
        "Long-Document Transformer. arXiv:2004.05150."
    ),
    "Henry et al. 2020": (
        "Henry, A., Dachapally, P. R., Pawar, S., Chen, Y. (2020). "
        "Query-Key Normalization for Transformers. Findings of EMNLP "
        "2020. arXiv:2010.04245."
    ),
    "Shazeer 2020": (
        "Shazeer, N. (2020). GLU Variants Improve Transformer. "
        "arXiv:2002.05202."
    ),
    "Liu et al. 2021": (
        "Liu, Z., Lin, Y., Cao, Y., Hu, H., Wei, Y., Zhang, Z., Lin, S., "
        "Guo, B. (2021). Swin Transformer: Hierarchical Vision "
        "Transformer using Shifted Windows. ICCV 2021."
    ),
    "Su et al. 2021": (
        "Su, J., Lu, Y., Pan, S., Murtadha, A., Wen, B., Liu, Y. (2021). "
        "RoFormer: Enhanced Transformer with Rotary Position Embedding. "
        "arXiv:2104.09864."
    ),
    "Krell et al. 2021": (
        "Krell, M. M., Kosec, M., Perez, S. P., Fitzgibbon, A. (2021). "
        "Efficient Sequence Packing without Cross-contamination: "
        "Accelerating Large Language Models without Impacting "
        "Performance. arXiv:2107.02027."
    ),
    "Press et al. 2022": (
        "Press, O., Smith, N. A., Lewis, M. (2022). Train Short, Test "
        "Long: Attention with Linear Biases Enables Input Length "
        "Extrapolation. ICLR 2022. arXiv:2108.12409."
    ),
    "Dao et al. 2022": (
        "Dao, T., Fu, D. Y., Ermon, S., Rudra, A., Ré, C. (2022). "
        "FlashAttention: Fast and Memory-Efficient Exact Attention with "
        "IO-Awareness. NeurIPS 2022. arXiv:2205.14135."
    ),
    "Haviv et al. 2022": (
        "Haviv, A., Ram, O., Press, O., Izsak, P., Levy, O. (2022). "
        "Transformer Language Models without Positional Encodings Still "
        "Learn Positional Information. Findings of EMNLP 2022. "
        "arXiv:2203.16634."
    ),
    "Chowdhery et al. 2022": (
        "Chowdhery, A., Narang, S., Devlin, J., et al. (2022). PaLM: "
        "Scaling Language Modeling with Pathways. arXiv:2204.02311."
    ),
    "Katharopoulos et al. 2020": (
        "Katharopoulos, A., Vyas, A., Pappas, N., Fleuret, F. (2020). "
        "Transformers are RNNs: Fast Autoregressive Transformers with "
        "Linear Attention. ICML 2020. arXiv:2006.16236."
    ),
    "Yang et al. 2025": (
        "Yang, S., Kautz, J., Hatamizadeh, A. (2025). Gated Delta "
        "Networks: Improving Mamba2 with Delta Rule. ICLR 2025. "
        "arXiv:2412.06464."
    ),
    "Dao et al. 2023": (
        "Dao, T., Haziza, D., Massa, F., Sizov, G. (2023). Flash-Decoding "
        "for Long-Context Inference. PyTorch blog, October 13, 2023."
    ),
    "Xiao et al. 2023": (
        "Xiao, G., Tian, Y., Chen, B., Han, S., Lewis, M. (2023). "
        "Efficient Streaming Language Models with Attention Sinks. "
        "arXiv:2309.17453."
    ),
    "Touvron et al. 2023": (
        "Touvron, H., Lavril, T., Izacard, G., et al. (2023). LLaMA: "
        "Open and Efficient Foundation Language Models. "
        "arXiv:2302.13971."
    ),
    "Ainslie et al. 2023": (
        "Ainslie, J., Lee-Thorp, J., de Jong, M., Zemlyanskiy, Y., "
        "Lebrón, F., Sanghai, S. (2023). GQA: Training Generalized "
        "Multi-Query Transformer Models from Multi-Head Checkpoints. "
        "EMNLP 2023. arXiv:2305.13245."
    ),
    "Liu et al. 2023": (
        "Liu, H., Zaharia, M., Abbeel, P. (2023). Ring Attention with "
        "Blockwise Transformers for Near-Infinite Context. "
        "arXiv:2310.01889."
    ),
    "Brandon et al. 2023": (
        "Brandon, W., Nrusimha, A., Qian, K., et al. (2023). Striped "
        "Attention: Faster Ring Attention for Causal Transformers. "
        "arXiv:2311.09431."
    ),
    "Jiang et al. 2023": (
        "Jiang, A. Q., Sablayrolles, A., Mensch, A., et al. (2023). "
        "Mistral 7B. arXiv:2310.06825."
    ),
    "Liu et al. 2024": (
        "Liu, A., Feng, B., Wang, B., et al. (2024). DeepSeek-V2: A "
        "Strong, Economical, and Efficient Mixture-of-Experts Language "
        "Model. arXiv:2405.04434."
    ),
    "Riviere et al. 2024": (
        "Riviere, M., Pathak, S., Sessa, P. G., et al. (2024). Gemma 2: "
        "Improving Open Language Models at a Practical Size. "
        "arXiv:2408.00118."
    ),
    "Yang et al. 2024": (
        "Yang, A., Yang, B., Hui, B., et al. (2024). Qwen2 Technical "
        "Report. arXiv:2407.10671."
    ),
    "OpenAI 2025": (
        "OpenAI (2025). gpt-oss-120b and gpt-oss-20b Model Card. "
        "arXiv:2508.10925."
    ),
    "Nguyen et al. 2024": (
        "Nguyen, M., Baker, A., Neo, C., et al. (2024). Turning Up the "
        "Heat: Min-p Sampling for Creative and Coherent LLM Outputs. "
        "arXiv:2407.01082."
    ),
}


def cited_in(text: str | None) -> list[str]:
    """The works that a text cites, in its order, each once."""
    citations = CITATION.findall(" ".join((text or "").split()))
    return [*dict.fromkeys(citations)]
